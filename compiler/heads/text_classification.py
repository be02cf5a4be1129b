"""Chooses labels for a text or a pair of texts: one label, or several with a threshold each."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from . import _classification
from ._classification import (
    METRICS,
    TARGETS,
    TARGETS_FROM,
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

MODALITY = "text"
NEEDS = "pooled"


class Options(_classification.Options):
    """Keys under `head` for text-classification."""

    pooling: Literal["mean", "cls", "max", "last"] | None = Field(
        None, description="how token states become one feature; default mean for encoders"
    )
