"""Chooses labels for a text or a pair of texts: one label, or several with a threshold each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import Field

from ..floors import Floor, Sample, labels, linear
from . import _classification
from ._classification import (
    METRICS,
    SEVERAL,
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
    "SEVERAL",
    "TARGETS",
    "TARGETS_FROM",
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

MODALITY = "text"
NEEDS = "pooled"


class Options(_classification.Options):
    """Keys under `head` for text-classification."""

    pooling: Literal["mean", "cls", "max", "last"] | None = Field(
        None, description="how token states become one feature; default the folder's own, else mean for encoders"
    )


def floors(record: Mapping[str, Any], train: Sample) -> Iterator[Floor]:
    """What costs nothing: the commonest label, and logistic regression on words."""
    return labels.floors(record, train, {"words": (linear.words, 10.0)})
