"""Chooses labels for an image: one label, or several with a threshold each."""

from __future__ import annotations

from ._classification import (
    METRICS,
    TARGETS,
    TARGETS_FROM,
    Options,
    Tally,
    decided,
    lower,
    metrics,
    problems,
    stratum,
    target,
)
from ._shares import GIVES_SHARES, build, convex, loss, outputs, parameters

__all__ = [
    "GIVES_SHARES",
    "METRICS",
    "MODALITY",
    "NEEDS",
    "TARGETS",
    "TARGETS_FROM",
    "Options",
    "Tally",
    "build",
    "convex",
    "decided",
    "loss",
    "lower",
    "metrics",
    "outputs",
    "parameters",
    "problems",
    "stratum",
    "target",
]

MODALITY = "image"
NEEDS = "pooled"
