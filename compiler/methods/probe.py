"""The backbone stays frozen: a linear probe on its features."""

from __future__ import annotations

from dataclasses import replace

from ..facts.backbone import BackboneFacts
from . import Lowered, full


def lower(options: full.Options, backbone: BackboneFacts, frozen: frozenset[str]) -> Lowered:
    """Trains no tensor of the backbone."""
    return Lowered(frozenset())


METHOD = replace(
    full.METHOD,
    learning_rate=2e-3,
    head_learning_rate=2e-3,
    usual=(1e-4, 1e-1),
    freezes=True,
    lower=lower,
)
