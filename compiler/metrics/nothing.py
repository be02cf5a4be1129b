"""No metrics, for answers without a truth to compare with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..contracts.metrics import Metrics
from ..contracts.reading import Columns

if TYPE_CHECKING:
    import numpy as np


def names(columns: Columns) -> tuple[str, ...]:
    """No metric."""
    return ()


def direction(name: str) -> int:
    """1; there is nothing to compare."""
    return 1


def one(name: str, record: Mapping[str, Any], outputs: Mapping[str, np.ndarray], examples: Any) -> None:
    """Always None."""


def report(record: Mapping[str, Any], outputs: Mapping[str, np.ndarray], examples: Any) -> dict[str, Any]:
    """An empty report."""
    return {}


METRICS = Metrics(names=names, direction=direction, one=one, report=report)
