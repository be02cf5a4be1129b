"""Scores of the labels of a grid's cells."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..contracts.metrics import Metrics
from ..contracts.reading import Columns

if TYPE_CHECKING:
    import numpy as np


def names(columns: Columns) -> tuple[str, ...]:
    """The share of cells that are right."""
    return ("accuracy",)


def direction(name: str) -> int:
    """1: more is better."""
    return 1


def one(name: str, record: Mapping[str, Any], outputs: Mapping[str, np.ndarray], examples: Any) -> float:
    """The share of cells that are right, from logits (inputs, labels, rows, columns)."""
    return float((outputs["logits"].argmax(1) == examples.targets).mean())


def report(record: Mapping[str, Any], outputs: Mapping[str, np.ndarray], examples: Any) -> dict[str, Any]:
    """Every score."""
    return {"accuracy": one("accuracy", record, outputs, examples)}


METRICS = Metrics(names=names, direction=direction, one=one, report=report)
