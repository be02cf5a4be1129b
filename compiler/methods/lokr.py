"""Updates that are Kronecker products (Yeh et al. 2023, arXiv:2309.14859), by PEFT."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import Field

from ..facts.backbone import BackboneFacts
from ..facts.header import Tensor
from . import _layers
from ._layers import Targeted

if TYPE_CHECKING:
    import torch


class Options(Targeted):
    """Keys under `adapt` with method lokr."""

    rank: int = Field(8, ge=1, le=4096, description="size of the bottleneck of the larger factor")
    alpha: float = Field(16.0, gt=0.0, description="scale of the update, divided by rank")


def _added(name: str, options: Options, backbone: BackboneFacts) -> Iterable[Tensor]:
    """The smaller factor, and the larger one as a matrix or as two low-rank matrices."""
    (rows, tall), (columns, wide) = map(_factors, _layers.sides(backbone.modules()[name].shape, name, backbone))
    yield Tensor(name=f"{name}.lokr_w1", shape=(rows, columns), dtype="F32")
    if options.rank < max(tall, wide) / 2:
        yield Tensor(name=f"{name}.lokr_w2_a", shape=(tall, options.rank), dtype="F32")
        yield Tensor(name=f"{name}.lokr_w2_b", shape=(options.rank, wide), dtype="F32")
    else:  # low rank would save nothing
        yield Tensor(name=f"{name}.lokr_w2", shape=(tall, wide), dtype="F32")


def _factors(size: int) -> tuple[int, int]:
    """The two factors of a size that are closest to each other, the smaller first."""
    smaller = next(n for n in range(math.isqrt(size), 0, -1) if size % n == 0)
    return smaller, size // smaller


def apply(module: torch.nn.Module, record: Mapping[str, Any]) -> torch.nn.Module:
    """Wraps a backbone in PEFT's LoKr layers at exactly the plan's modules."""
    from peft import LoKrConfig

    return _layers.adapted(
        module, LoKrConfig, r=record["rank"], alpha=record["alpha"], target_modules=list(record["target"])
    )


METHOD = _layers.method(
    "lokr",
    options=Options,
    usual=(1e-5, 1e-1),
    needs=frozenset({"plain-weights"}),
    added=_added,
    apply=apply,
)
