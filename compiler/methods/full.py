"""Every tensor that is not frozen learns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..diagnostics import Diagnostic
from ..facts.backbone import BackboneFacts
from ..frozen import Frozen
from . import Lowered

if TYPE_CHECKING:
    import torch

LEARNING_RATE = 5e-5
HEAD_LEARNING_RATE = 5e-5
USUAL = (1e-6, 1e-3)
NEEDS: frozenset[str] = frozenset()
ADDS = False  # its checkpoint is the backbone itself
MERGES = False
FREEZES = False
STARTS_UNTOUCHED = True


class Options(Frozen):
    """No keys of its own under `adapt`."""


def problems(options: Options, backbone: BackboneFacts, frozen: frozenset[str]) -> Iterable[Diagnostic]:
    """Nothing can be wrong with it."""
    return ()


def lower(options: Options, backbone: BackboneFacts, frozen: frozenset[str]) -> Lowered:
    """Trains all but the frozen tensors, running statistics included."""
    return Lowered(frozenset(backbone.names) - frozen)


def apply(module: torch.nn.Module, record: Mapping[str, Any]) -> torch.nn.Module:
    """The backbone as it is."""
    return module


def plain(name: str) -> str:
    """The plan's name of a tensor of the adapted module."""
    return name


def merge(module: torch.nn.Module) -> torch.nn.Module:
    """The backbone as it is."""
    return module


def save(module: Any, folder: Path) -> None:
    """Writes what loads with AutoModel."""
    module.save_pretrained(folder)
