"""Only the normalisation layers learn (Zhao et al. 2023, arXiv:2312.11420)."""

from __future__ import annotations

from collections.abc import Iterable

from ..diagnostics import Diagnostic
from ..facts.backbone import BackboneFacts
from . import Lowered, all_frozen
from .full import Options, apply, merge, plain, save

__all__ = ["Options", "apply", "merge", "plain", "save"]

LEARNING_RATE = 1e-3
HEAD_LEARNING_RATE = 1e-3
USUAL = (1e-5, 1e-2)
NEEDS: frozenset[str] = frozenset()
ADDS = False
MERGES = False
FREEZES = False
STARTS_UNTOUCHED = True


def problems(options: Options, backbone: BackboneFacts, frozen: frozenset[str]) -> Iterable[Diagnostic]:
    """A backbone whose normalisation layers are all frozen."""
    if not frozenset(backbone.norms) - frozen:
        yield all_frozen("norm that `layernorm` would train")


def lower(options: Options, backbone: BackboneFacts, frozen: frozenset[str]) -> Lowered:
    """Trains weights and biases of the normalisation layers outside the frozen parts; running statistics stay."""
    return Lowered(frozenset(name for name in backbone.norms if not backbone.is_buffer(name)) - frozen)
