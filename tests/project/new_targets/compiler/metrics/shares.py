"""Scores of shares of topics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..contracts.metrics import Metrics
from ..contracts.reading import Columns

if TYPE_CHECKING:
    import numpy as np


def names(columns: Columns) -> tuple[str, ...]:
    """How far shares are off, in the mean."""
    return ("error",)


def direction(name: str) -> int:
    """-1: less is better."""
    return -1


def one(name: str, record: Mapping[str, Any], outputs: Mapping[str, np.ndarray], examples: Any) -> float:
    """The mean absolute error of the shares that rows name, from logits (rows, topics)."""
    import numpy as np

    said = 1 / (1 + np.exp(-np.asarray(outputs["logits"], np.float64)))
    pairs = zip(said, examples.targets["topics"], examples.targets["shares"], strict=True)
    return float(np.mean(np.concatenate([np.abs(row[topics] - shares) for row, topics, shares in pairs])))


def report(record: Mapping[str, Any], outputs: Mapping[str, np.ndarray], examples: Any) -> dict[str, Any]:
    """Every score."""
    return {"error": one("error", record, outputs, examples)}


METRICS = Metrics(names=names, direction=direction, one=one, report=report)
