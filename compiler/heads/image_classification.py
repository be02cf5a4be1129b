"""Chooses labels for an image: one label, or several with a threshold each."""

from __future__ import annotations

from ._classification import METRICS, TARGETS, Options, Tally, build, loss, lower, outputs, parameters, problems, target

__all__ = [
    "METRICS",
    "MODALITY",
    "NEEDS",
    "TARGETS",
    "Options",
    "Tally",
    "build",
    "loss",
    "lower",
    "outputs",
    "parameters",
    "problems",
    "target",
]

MODALITY = "image"
NEEDS = "pooled"
