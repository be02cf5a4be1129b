"""Every tensor that is not frozen learns."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..contracts.method import Method
from ..facts.backbone import BackboneFacts
from ..frozen import Frozen
from . import Lowered

if TYPE_CHECKING:
    import torch


class Options(Frozen):
    """The method has no keys of its own under `adapt`."""


def lower(options: Options, backbone: BackboneFacts, frozen: frozenset[str]) -> Lowered:
    """Trains every tensor that is not frozen, running statistics included."""
    return Lowered(frozenset(backbone.names) - frozen)


def apply(module: torch.nn.Module, record: Mapping[str, Any]) -> torch.nn.Module:
    """The backbone unchanged."""
    return module


def plain(name: str) -> str:
    """The planned name of a tensor, which is its own."""
    return name


def merge(module: torch.nn.Module) -> torch.nn.Module:
    """The backbone unchanged."""
    return module


def save(module: Any, folder: Path) -> None:
    """Writes a folder that AutoModel loads."""
    module.save_pretrained(folder)


METHOD = Method(
    options=Options,
    learning_rate=5e-5,
    head_learning_rate=5e-5,
    usual=(1e-6, 1e-3),
    starts_untouched=True,
    lower=lower,
    apply=apply,
    plain=plain,
    merge=merge,
    save=save,
)
