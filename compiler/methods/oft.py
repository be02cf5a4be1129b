"""Rotations of what a layer reads, in blocks (Qiu et al. 2023, arXiv:2306.07280), by PEFT."""

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
    """Keys under `adapt` with method oft."""

    block: int = Field(
        32, ge=2, le=4096, description="size of a block; the nearest that divides a layer's inputs is taken"
    )


def problems(options: Options, backbone: BackboneFacts, frozen: frozenset[str]) -> Iterable[Diagnostic]:
    """What the backbone has not, and targets that match no module, or only frozen ones."""
    return _layers.problems("oft", NEEDS, options, backbone, frozen)


def lower(options: Options, backbone: BackboneFacts, frozen: frozenset[str]) -> Lowered:
    """Adds a rotation for each block of a target outside the frozen parts; the backbone's own tensors stay."""
    return _layers.lower(options, backbone, frozen, _added)


def _added(name: str, options: Options, backbone: BackboneFacts) -> Iterable[Tensor]:
    _, into = _layers.sides(backbone.modules()[name].shape, name, backbone)
    block = min((n for n in range(1, into + 1) if into % n == 0), key=lambda n: abs(n - options.block))
    yield Tensor(name=f"{name}.oft_R.weight", shape=(into // block, block * (block - 1) // 2), dtype="F32")


def apply(module: torch.nn.Module, record: Mapping[str, Any]) -> torch.nn.Module:
    """Wraps a backbone in PEFT's OFT layers at exactly the plan's modules."""
    from peft import OFTConfig

    return _layers.adapted(
        module, OFTConfig, r=0, oft_block_size=record["block"], target_modules=list(record["target"])
    )
