"""Scores of numbers against numbers; of several numbers the mean over those for which it is defined.

Correlations are None where one side does not vary, R² where the true numbers don't.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ._correlation import correlation
from ._means import mean

if TYPE_CHECKING:
    import numpy as np

NAMES = ("pearson", "spearman", "r2", "mse", "rmse", "mae")
LOWER_IS_BETTER = frozenset({"mse", "rmse", "mae"})


def names(is_multi: bool) -> tuple[str, ...]:
    """Metrics that a spec may name under `train.metric`."""
    return NAMES


def direction(name: str) -> int:
    """1 where higher is better, -1 where lower is."""
    return -1 if name in LOWER_IS_BETTER else 1


def is_defined(name: str, tally: Any) -> bool:
    """Whether a metric has a value on rows that were looked at like this, whatever is answered."""
    varies = any(tally.least[column][0] < tally.most[column][0] for column in tally.columns if column in tally.least)
    return varies if name in ("pearson", "spearman", "r2") else tally.rows > 0


def one(name: str, record: Mapping[str, Any], outputs: Mapping[str, np.ndarray], examples: Any) -> float | None:
    """One metric of logits (rows, numbers) against targets of the same shape; None where it is undefined."""
    columns = zip(outputs["logits"].T, examples.targets.T, strict=True)
    return mean([_value(name, found, truth) for found, truth in columns])


def report(record: Mapping[str, Any], outputs: Mapping[str, np.ndarray], examples: Any) -> dict[str, Any]:
    """Every metric, and of several numbers each one's Pearson correlation."""
    found: dict[str, Any] = {name: one(name, record, outputs, examples) for name in NAMES}
    if len(record["names"]) > 1:
        columns = zip(record["names"], outputs["logits"].T, examples.targets.T, strict=True)
        found["pearson_per_number"] = {name: _value("pearson", ours, truth) for name, ours, truth in columns}
    return found


def calibrate(record: Mapping[str, Any], outputs: Mapping[str, np.ndarray], examples: Any) -> dict[str, Any]:
    """Nothing is left to decide after training."""
    return {}


def _value(name: str, found: np.ndarray, truth: np.ndarray) -> float | None:
    """One metric of one number over all rows."""
    import numpy as np

    found, truth = np.asarray(found, np.float64), np.asarray(truth, np.float64)
    if not len(truth):
        return None
    if name in ("pearson", "spearman"):
        return correlation(name, found, truth)
    if name == "mae":
        return float(np.abs(found - truth).mean())
    squared = float(np.square(found - truth).mean())
    if name == "r2":
        return None if (truth == truth[0]).all() else 1 - squared / float(np.square(truth - truth.mean()).mean())
    return squared if name == "mse" else squared**0.5
