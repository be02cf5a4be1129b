"""Nothing of the backbone learns: a linear probe on its features."""

from __future__ import annotations

from ..facts.backbone import BackboneFacts
from . import Lowered
from .full import MERGES, NEEDS, Options, apply, merge, plain, problems, save

__all__ = [
    "ADDS",
    "FREEZES",
    "HEAD_LEARNING_RATE",
    "LEARNING_RATE",
    "MERGES",
    "NEEDS",
    "STARTS_UNTOUCHED",
    "USUAL",
    "Options",
    "apply",
    "lower",
    "merge",
    "plain",
    "problems",
    "save",
]

LEARNING_RATE = 2e-3
HEAD_LEARNING_RATE = 2e-3
USUAL = (1e-4, 1e-1)
ADDS = False
FREEZES = True  # the whole backbone runs in inference mode
STARTS_UNTOUCHED = True


def lower(options: Options, backbone: BackboneFacts, frozen: frozenset[str]) -> Lowered:
    """Trains no tensor of the backbone."""
    return Lowered(frozenset())
