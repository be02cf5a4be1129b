"""Low-rank updates multiplied entry by entry (Hyeon-Woo et al. 2021, arXiv:2108.06098), by PEFT."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import Field

from ..diagnostics import Diagnostic
from ..facts.backbone import BackboneFacts
from ..facts.header import Tensor
from . import Lowered, _layers
from ._layers import Targeted, decided, merge, plain, reload, save

if TYPE_CHECKING:
    import torch

__all__ = ["decided", "merge", "plain", "reload", "save"]

LEARNING_RATE = 1e-3
HEAD_LEARNING_RATE = 1e-3
USUAL = (1e-5, 1e-2)
NEEDS = frozenset({"plain-weights"})
ADDS = True
MERGES = True
FREEZES = False
STARTS_UNTOUCHED = True


class Options(Targeted):
    """Keys under `adapt` with method loha."""

    rank: int = Field(8, ge=1, le=4096, description="size of both bottlenecks")
    alpha: float = Field(16.0, gt=0.0, description="scale of the update, divided by rank")


def problems(options: Options, backbone: BackboneFacts, frozen: frozenset[str]) -> Iterable[Diagnostic]:
    """What the backbone has not, and targets that match no module, or only frozen ones."""
    return _layers.problems("loha", NEEDS, options, backbone, frozen)


def lower(options: Options, backbone: BackboneFacts, frozen: frozenset[str]) -> Lowered:
    """Adds two pairs of matrices to each target outside the frozen parts; the backbone's own tensors stay."""
    return _layers.lower(options, backbone, frozen, _added)


def _added(name: str, options: Options, backbone: BackboneFacts) -> Iterable[Tensor]:
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
