"""Scores of numbers against numbers; of several numbers the mean over those for which it is defined.

Correlations are None where one side does not vary, R² where the true numbers don't.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

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


def correlation(name: str, found: np.ndarray, truth: np.ndarray) -> float | None:
    """`pearson`, or `spearman`, which is that of ranks, of two rows of numbers; None where one of them does not vary."""
    import numpy as np

    sides = [np.asarray(side, np.float64) for side in (found, truth)]
    if any(len(side) < 2 or (side == side[0]).all() for side in sides):
        return None
    ours, theirs = (_normal(_ranks(side) if name == "spearman" else side) for side in sides)
    return float(np.clip(ours @ theirs, -1.0, 1.0))


def _normal(values: np.ndarray) -> np.ndarray:
    """Numbers of mean zero and length one; scaled first, so that no square is too large or too small."""
    import numpy as np

    centred = values - values.mean()
    centred = centred / np.abs(centred).max()
    return np.asarray(centred / np.sqrt(centred @ centred))


def _ranks(values: np.ndarray) -> np.ndarray:
    """Places from one; equal numbers share the mean of theirs."""
    import numpy as np

    _, place, alike = np.unique(values, return_inverse=True, return_counts=True)
    ranks: np.ndarray = (np.cumsum(alike) - (alike - 1) / 2)[place]
    return ranks
