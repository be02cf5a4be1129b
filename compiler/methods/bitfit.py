"""Only the biases learn (Ben Zaken et al. 2021, arXiv:2106.10199)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ..diagnostics import Diagnostic
from ..facts.backbone import BackboneFacts
from . import Lowered, all_frozen, full


def problems(options: full.Options, backbone: BackboneFacts, frozen: frozenset[str]) -> Iterable[Diagnostic]:
    """The error where all biases are frozen."""
    if not frozenset(backbone.biases) - frozen:
        yield all_frozen("bias that `bitfit` would train")


def lower(options: full.Options, backbone: BackboneFacts, frozen: frozenset[str]) -> Lowered:
    """Trains the biases that are not frozen."""
    return Lowered(frozenset(backbone.biases) - frozen)


METHOD = replace(
    full.METHOD,
    learning_rate=1e-3,
    head_learning_rate=1e-3,
    usual=(1e-5, 1e-2),
    needs=frozenset({"biases"}),
    problems=problems,
    lower=lower,
)
