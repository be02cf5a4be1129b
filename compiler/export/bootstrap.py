"""The standard error of a difference of scores, by the paired bootstrap (Efron and Tibshirani, 1993)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...runtime.rows import Outputs, taken
from ..contracts.metrics import Metrics
from ..execution.prepared import Examples

RESAMPLES = 200  # bootstrap samples of the rows
Answered = tuple[Mapping[str, Any], Outputs]  # (a head's record, its outputs for the rows)


def standard_error(
    metrics: Metrics, name: str, pair: tuple[Answered, Answered], examples: Examples, draws: np.random.Generator
) -> float:
    """The standard error of the difference of a metric between two sets of answers; 0 where no sample has a score."""
    drops = []
    for _ in range(RESAMPLES):
        rows, drawn = examples.taken(draws.integers(0, len(examples), len(examples)))
        first, second = (metrics.one(name, record, taken(outputs, rows), drawn) for record, outputs in pair)
        if first is not None and second is not None:  # a sample may lack rows that the score needs
            drops.append(first - second)
    return round(float(np.std(drops)), 6) if drops else 0.0
