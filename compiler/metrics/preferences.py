"""Scores of a language model, and of its preferences where rows have a preferred and a rejected answer.

Of pairs the scores of words are those of the preferred answers. Reads the outputs `losses` and `hits`, of pairs also
`rewards` (rows,), of each pair the preferred answer first, and no field of the record. `reward_accuracy` and
`reward_margin` are TRL's `rewards/accuracies` and `rewards/margins`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..contracts.reading import Columns
from . import language

if TYPE_CHECKING:
    import numpy as np

EQUAL = 1e-6  # rewards that differ by no more are equal
OF_PAIRS = ("reward_accuracy", "reward_margin")


def names(columns: Columns) -> tuple[str, ...]:
    """Metrics that a spec may name under `train.metric`; of pairs those of preferences come first."""
    return (*(OF_PAIRS if "chosen" in columns else ()), *language.METRICS.names(columns))


def direction(name: str) -> int:
    """1 where higher is better, -1 where lower is."""
    return 1 if name in OF_PAIRS else language.METRICS.direction(name)


def one(name: str, record: Mapping[str, Any], outputs: Mapping[str, np.ndarray], examples: Any) -> float | None:
    """One metric of the outputs; None where it has no value."""
    return report(record, outputs, examples)[name]


def report(record: Mapping[str, Any], outputs: Mapping[str, np.ndarray], examples: Any) -> dict[str, float | None]:
    """Every metric, of words and of pairs; None where it is not finite."""
    found = dict(language.METRICS.report(record, outputs, examples))
    return {**_of_pairs(outputs["rewards"]), **found} if "rewards" in outputs else found


def _of_pairs(rewards: np.ndarray) -> dict[str, float | None]:
    """The share of pairs whose preferred answer has the higher reward, and by how much it is higher on average.

    A pair of equal rewards counts half.
    """
    import numpy as np

    values = np.asarray(rewards, np.float64)
    margins = values[0::2] - values[1::2]
    if not len(margins):
        return dict.fromkeys(OF_PAIRS)
    # the reference against itself differs by rounding alone, which prefers neither: such a pair is half right
    accuracy = float(np.where(np.abs(margins) <= EQUAL, 0.5, margins > 0).mean())
    margin = float(margins.mean())
    return {"reward_accuracy": accuracy, "reward_margin": margin if math.isfinite(margin) else None}


METRICS = replace(language.METRICS, names=names, direction=direction, one=one, report=report)
