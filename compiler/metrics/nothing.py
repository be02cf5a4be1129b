"""No scores: for answers that nothing can be held against."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


def names(is_multi: bool) -> tuple[str, ...]:
    """None."""
    return ()


def direction(name: str) -> int:
    """1: there is nothing to compare."""
    return 1


def one(name: str, record: Mapping[str, Any], outputs: Mapping[str, np.ndarray], examples: Any) -> None:
    """None, of whatever there is."""


def report(record: Mapping[str, Any], outputs: Mapping[str, np.ndarray], examples: Any) -> dict[str, Any]:
    """Nothing."""
    return {}


def calibrate(record: Mapping[str, Any], outputs: Mapping[str, np.ndarray], examples: Any) -> dict[str, Any]:
    """Nothing is left to decide after training."""
    return {}
