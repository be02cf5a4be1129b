"""Chooses labels for an image: one label, or several with a threshold each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..floors import Floor, Sample, labels, linear
from ._classification import (
    METRICS,
    SEVERAL,
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
    "SEVERAL",
    "TARGETS",
    "TARGETS_FROM",
    "VECTORS",
    "Options",
    "Tally",
    "build",
    "convex",
    "decided",
    "floors",
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
VECTORS = "kept"  # its floors take the features that are kept for training, where they are


def floors(record: Mapping[str, Any], train: Sample) -> Iterator[Floor]:
    """What costs nothing: the commonest label, and logistic regression on mean colours, or on features kept anyway."""
    ways = {"mean colours": (linear.colours, 1.0), "features": (linear.features, 0.01)}
    return labels.floors(record, train, ways)
