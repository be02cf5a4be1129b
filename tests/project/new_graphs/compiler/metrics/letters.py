"""Scores of words that are written letter by letter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..contracts.metrics import Metrics
from ..contracts.reading import Columns

if TYPE_CHECKING:
    import numpy as np


def names(columns: Columns) -> tuple[str, ...]:
    """The share of words that are right to the last letter."""
    return ("exact",)


def direction(name: str) -> int:
    """1: more is better."""
    return 1


def one(name: str, record: Mapping[str, Any], outputs: Mapping[str, np.ndarray], examples: Any) -> float:
    """The share of rows whose likeliest letters, (rows, longest), begin with the target."""
    import numpy as np

    found = np.asarray(outputs["logits"]).argmax(-1)
    hits = [bool((row[: len(wanted)] == wanted).all()) for row, wanted in zip(found, examples.targets, strict=True)]
    return float(np.mean(hits))


def report(record: Mapping[str, Any], outputs: Mapping[str, np.ndarray], examples: Any) -> dict[str, Any]:
    """Every score."""
    return {"exact": one("exact", record, outputs, examples)}


METRICS = Metrics(names=names, direction=direction, one=one, report=report)
