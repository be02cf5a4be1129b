"""Scores of predicted words: mean loss, perplexity and accuracy.

Reads the outputs `losses` and `hits`, and no field of the record.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..contracts.metrics import Metrics
from ..contracts.reading import Columns

if TYPE_CHECKING:
    import numpy as np

NAMES = ("loss", "perplexity", "accuracy")


def names(columns: Columns) -> tuple[str, ...]:
    """Metrics that a spec may name under `train.metric`."""
    return NAMES


def direction(name: str) -> int:
    """1 where higher is better, -1 where lower is."""
    return 1 if name == "accuracy" else -1


def one(name: str, record: Mapping[str, Any], outputs: Mapping[str, np.ndarray], examples: Any) -> float | None:
    """One metric of `losses` and `hits`, both (words,) for each row; None where there are no words."""
    return report(record, outputs, examples)[name]


def report(record: Mapping[str, Any], outputs: Mapping[str, np.ndarray], examples: Any) -> dict[str, float | None]:
    """Every metric over all words; None where it is not finite."""
    import numpy as np

    losses, hits = (np.concatenate([np.asarray(row, np.float64) for row in outputs[key]]) for key in ("losses", "hits"))
    if not len(losses):
        return dict.fromkeys(NAMES)
    loss = float(losses.mean())
    found = {"loss": loss, "perplexity": _exponential(loss), "accuracy": float(hits.mean())}
    return {name: value if math.isfinite(value) else None for name, value in found.items()}


def _exponential(loss: float) -> float:
    """The perplexity of a loss; infinite above 709.8, where exp overflows."""
    try:
        return math.exp(loss)
    except OverflowError:
        return math.inf


METRICS = Metrics(names=names, direction=direction, one=one, report=report, relative=frozenset({"perplexity"}))
