"""The largest of many numbers, without sorting them all."""

from __future__ import annotations

import numpy as np

GROUPS = 1024  # of which each gives its largest number: the k-th of these bounds the k-th of all from below


def kth_largest(values: np.ndarray, k: int) -> float:
    """The k-th largest of `values` (n,) with 1 ≤ k ≤ n, equal ones counted each.

    >>> kth_largest(np.array([3.0, 1.0, 2.0, 3.0]), 2), kth_largest(np.array([3.0, 1.0, 2.0, 3.0]), 3)
    (3.0, 2.0)
    """
    found = values[values >= _bound(values, k)] if 4 * k <= GROUPS < len(values) else values
    return float(np.partition(found, len(found) - k)[len(found) - k])


def largest(values: np.ndarray, k: int) -> np.ndarray:
    """Indices (k,) of the k largest of `values` (n,), the largest first; of equal ones the first.

    >>> largest(np.array([3.0, 1.0, 2.0, 3.0, 2.0]), 3).tolist()
    [0, 3, 2]
    """
    k = min(k, len(values))
    found = np.flatnonzero(values >= kth_largest(values, k))
    return found[np.argsort(-values[found], kind="stable")[:k]]


def _bound(values: np.ndarray, k: int) -> float:
    """A number that at least k of `values` reach: the k-th largest of the maxima of groups."""
    whole = len(values) // GROUPS * GROUPS
    maxima = values[:whole].reshape(-1, GROUPS).max(axis=0)
    return float(np.partition(maxima, GROUPS - k)[GROUPS - k])
