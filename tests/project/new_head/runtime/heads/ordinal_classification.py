"""Decodes ordinal-classification: log-probabilities of ordered labels become a label and a level between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import Decoder, one_pass


@dataclass(frozen=True)
class Answer:
    """The likeliest label, its probability, and the expected level: 0 for the lowest label, 1 for the next."""

    label: str
    score: float
    level: float


def decode(outputs: Mapping[str, Any], head: Mapping[str, Any], rows: Any) -> list[Answer]:
    """An answer per row of `logits` (rows, labels)."""
    chances = np.exp(outputs["logits"].astype(np.float64))
    chances /= chances.sum(-1, keepdims=True)
    levels = chances @ np.arange(chances.shape[1])
    best = chances.argmax(-1)
    return [
        Answer(head["labels"][i], float(row[i]), float(level))
        for i, row, level in zip(best, chances, levels, strict=True)
    ]


DECODER = Decoder(
    head={"labels": [str]},
    kind=Answer,
    labelled=("label",),
    answer=one_pass(decode),
)
