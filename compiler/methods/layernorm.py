"""Only the normalisation layers learn (Zhao et al. 2023, arXiv:2312.11420)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ..diagnostics import Diagnostic
from ..facts.backbone import BackboneFacts
from . import Lowered, all_frozen, full


def problems(options: full.Options, backbone: BackboneFacts, frozen: frozenset[str]) -> Iterable[Diagnostic]:
    """The error where all normalisation layers are frozen."""
    if not frozenset(backbone.norms) - frozen:
        yield all_frozen("norm that `layernorm` would train")


def lower(options: full.Options, backbone: BackboneFacts, frozen: frozenset[str]) -> Lowered:
    """Trains weights and biases of normalisation layers that are not frozen; running statistics stay."""
    return Lowered(frozenset(name for name in backbone.norms if not backbone.is_buffer(name)) - frozen)


METHOD = replace(
    full.METHOD,
    learning_rate=1e-3,
    head_learning_rate=1e-3,
    usual=(1e-5, 1e-2),
    problems=problems,
    lower=lower,
)
