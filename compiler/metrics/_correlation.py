"""Correlations between two arrays of numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


def correlation(name: str, found: np.ndarray, truth: np.ndarray) -> float | None:
    """Pearson's correlation, or Spearman's (Pearson's on ranks), of two arrays of shape (rows,).

    None where one side is constant or holds a number that is not finite.
    """
    import numpy as np

    sides = [np.asarray(side, np.float64) for side in (found, truth)]
    if any(len(side) < 2 or (side == side[0]).all() or not np.isfinite(side).all() for side in sides):
        return None
    ours, theirs = (_normal(_ranks(side) if name == "spearman" else side) for side in sides)
    return float(np.clip(ours @ theirs, -1.0, 1.0))


def _normal(values: np.ndarray) -> np.ndarray:
    """Numbers scaled to mean zero and length one; scaled twice, so that no square overflows or underflows."""
    import numpy as np

    centred = values - values.mean()
    centred = centred / np.abs(centred).max()
    return np.asarray(centred / np.sqrt(centred @ centred))


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from one; equal numbers share the mean of their ranks."""
    import numpy as np

    _, place, alike = np.unique(values, return_inverse=True, return_counts=True)
    ranks: np.ndarray = (np.cumsum(alike) - (alike - 1) / 2)[place]
    return ranks
