"""Low-rank updates multiplied entry by entry (Hyeon-Woo et al. 2021, arXiv:2108.06098), by PEFT."""

from __future__ import annotations

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
    """Keys under `adapt` with method loha."""

    rank: int = Field(8, ge=1, le=4096, description="size of both bottlenecks")
    alpha: float = Field(16.0, gt=0.0, description="scale of the update, divided by rank")


def _added(name: str, options: Options, backbone: BackboneFacts) -> Iterable[Tensor]:
    """Two pairs of low-rank matrices."""
    out, into = _layers.sides(backbone.modules()[name].shape, name, backbone)
    for pair in ("hada_w1", "hada_w2"):
        yield Tensor(name=f"{name}.{pair}_a", shape=(out, options.rank), dtype="F32")
        yield Tensor(name=f"{name}.{pair}_b", shape=(options.rank, into), dtype="F32")


def apply(module: torch.nn.Module, record: Mapping[str, Any]) -> torch.nn.Module:
    """Wraps a backbone in PEFT's LoHa layers at exactly the plan's modules."""
    from peft import LoHaConfig

    return _layers.adapted(
        module, LoHaConfig, r=record["rank"], alpha=record["alpha"], target_modules=list(record["target"])
    )


METHOD = _layers.method(
    "loha",
    options=Options,
    usual=(1e-5, 1e-2),
    needs=frozenset({"plain-weights"}),
    added=_added,
    apply=apply,
)
