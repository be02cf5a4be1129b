"""Chooses labels for an image: one label, or several with a threshold each."""

from __future__ import annotations

from ._classification import (
    GIVES_SHARES,
    METRICS,
    SEVERAL,
    TARGETS,
    TARGETS_FROM,
    Options,
    Tally,
    build,
    convex,
    decided,
    loss,
    lower,
    metrics,
    outputs,
    parameters,
    problems,
    stratum,
    target,
)

__all__ = [
    "GIVES_SHARES",
    "METRICS",
    "MODALITY",
    "NEEDS",
    "SEVERAL",
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
