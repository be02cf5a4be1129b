"""Only the biases learn (Ben Zaken et al. 2021, arXiv:2106.10199)."""

from __future__ import annotations

from collections.abc import Iterable

from ..diagnostics import Diagnostic
from ..facts.backbone import BackboneFacts
from . import Lowered, all_frozen, lacking
from .full import Options, apply, merge, plain, save

__all__ = ["Options", "apply", "merge", "plain", "save"]

LEARNING_RATE = 1e-3
HEAD_LEARNING_RATE = 1e-3
USUAL = (1e-5, 1e-2)
NEEDS = frozenset({"biases"})
ADDS = False
MERGES = False
FREEZES = False
STARTS_UNTOUCHED = True


def problems(options: Options, backbone: BackboneFacts, frozen: frozenset[str]) -> Iterable[Diagnostic]:
    """A backbone without biases, or with all of them frozen."""
    yield from lacking("bitfit", NEEDS, backbone)
    if backbone.provides >= NEEDS and not frozenset(backbone.biases) - frozen:
        yield all_frozen("bias that `bitfit` would train")


def lower(options: Options, backbone: BackboneFacts, frozen: frozenset[str]) -> Lowered:
    """Trains the biases outside the frozen parts."""
    return Lowered(frozenset(backbone.biases) - frozen)
