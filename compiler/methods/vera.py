"""Learned scales of random matrices that all layers share (Kopiczko et al. 2023, arXiv:2310.11454), by PEFT."""

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
    """Keys under `adapt` with method vera."""

    rank: int = Field(256, ge=1, le=65536, description="size of the bottleneck between the random matrices")


def _added(name: str, options: Options, backbone: BackboneFacts) -> Iterable[Tensor]:
    """Two vectors."""
    out, _ = _layers.sides(backbone.modules()[name].shape, name, backbone)
    yield Tensor(name=f"{name}.vera_lambda_b", shape=(out,), dtype="F32")
    yield Tensor(name=f"{name}.vera_lambda_d", shape=(options.rank,), dtype="F32")


def apply(module: torch.nn.Module, record: Mapping[str, Any]) -> torch.nn.Module:
    """Wraps a backbone in PEFT's Vera layers at exactly the plan's modules."""
    from peft import VeraConfig

    # the random matrices come from a fixed seed, so they are not saved
    return _layers.adapted(
        module,
        VeraConfig,
        r=record["rank"],
        projection_prng_key=0,
        save_projection=False,
        target_modules=list(record["target"]),
    )


METHOD = _layers.method(
    "vera",
    options=Options,
    learning_rate=1e-2,
    usual=(1e-4, 1e-1),
    needs=frozenset({"linear-layers"}),
    added=_added,
    apply=apply,
)
