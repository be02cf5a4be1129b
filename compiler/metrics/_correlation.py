"""Correlations of two rows of numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


def correlation(name: str, found: np.ndarray, truth: np.ndarray) -> float | None:
    """`pearson`, or `spearman`, which is that of ranks; None where one side does not vary or has what is no number."""
    import numpy as np

    sides = [np.asarray(side, np.float64) for side in (found, truth)]
    if any(len(side) < 2 or (side == side[0]).all() or not np.isfinite(side).all() for side in sides):
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
