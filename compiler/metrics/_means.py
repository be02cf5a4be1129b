"""Means over defined values."""

from __future__ import annotations

from collections.abc import Iterable


def mean(values: Iterable[float | None]) -> float | None:
    """The mean of the defined values; None and NaN count as undefined. None where no value is defined.

    >>> mean([1.0, None, 0.0]), mean([None])
    (0.5, None)
    """
    found = [float(value) for value in values if value is not None and value == value]
    return sum(found) / len(found) if found else None
