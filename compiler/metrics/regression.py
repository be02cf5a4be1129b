"""Scores of predicted numbers; for several numbers, the mean over those that the rows can score.

A number whose true values are constant has no correlation and no R², whatever is answered, and is left out of their
mean. Where the answers to one of the other numbers are constant, its correlation is undefined and the mean is None: a
mean over fewer numbers could be higher than before those answers collapsed.

Reads the output `logits` and the field `names`, the names of the numbers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..contracts.metrics import Metrics
from ..contracts.reading import Columns
from ..contracts.targets import Summary
from ._correlation import correlation

if TYPE_CHECKING:
    import numpy as np

NAMES = ("pearson", "spearman", "r2", "mse", "rmse", "mae")
LOWER_IS_BETTER = frozenset({"mse", "rmse", "mae"})
NEEDS_SPREAD = frozenset({"pearson", "spearman", "r2"})  # in the true numbers


def names(columns: Columns) -> tuple[str, ...]:
    """Metrics that a spec may name under `train.metric`."""
    return NAMES


def direction(name: str) -> int:
    """1 where higher is better, -1 where lower is."""
    return -1 if name in LOWER_IS_BETTER else 1


def is_defined(name: str, summary: Summary, record: Mapping[str, Any]) -> bool:
    """Whether a metric can have a value on rows with these counts, whatever the model answers."""
    varies = any(least < most for least, most in summary.ranges.values())
    return varies if name in NEEDS_SPREAD else summary.rows > 0


def one(name: str, record: Mapping[str, Any], outputs: Mapping[str, np.ndarray], examples: Any) -> float | None:
    """One metric of logits (rows, numbers) against targets of the same shape; None where it is undefined."""
    columns = zip(outputs["logits"].T, examples.targets.T, strict=True)
    values = [_value(name, found, truth) for found, truth in columns if _is_scored(name, truth)]
    known = [value for value in values if value is not None and math.isfinite(value)]
    return sum(known) / len(known) if known and len(known) == len(values) else None


def report(record: Mapping[str, Any], outputs: Mapping[str, np.ndarray], examples: Any) -> dict[str, Any]:
    """Every metric, and for several numbers the Pearson correlation of each."""
    found: dict[str, Any] = {name: one(name, record, outputs, examples) for name in NAMES}
    if len(record["names"]) > 1:
        columns = zip(record["names"], outputs["logits"].T, examples.targets.T, strict=True)
        found["pearson_per_number"] = {name: _value("pearson", ours, truth) for name, ours, truth in columns}
    return found


def _is_scored(name: str, truth: np.ndarray) -> bool:
    """Whether these true numbers can be scored, whatever the model answers."""
    return len(truth) > 0 and not (name in NEEDS_SPREAD and (truth == truth[0]).all())


def _value(name: str, found: np.ndarray, truth: np.ndarray) -> float | None:
    """One metric of one number, over rows that can score it."""
    import numpy as np

    found, truth = np.asarray(found, np.float64), np.asarray(truth, np.float64)
    if name in ("pearson", "spearman"):
        return correlation(name, found, truth)
    if name == "mae":
        return float(np.abs(found - truth).mean())
    squared = float(np.square(found - truth).mean())
    if name == "r2":
        return 1 - squared / float(np.square(truth - truth.mean()).mean())
    return squared if name == "mse" else squared**0.5


METRICS = Metrics(names=names, direction=direction, one=one, report=report, is_defined=is_defined)
