"""Decodes text-ranking: one score for each pair of query and passage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import BundleError
from ..rows import Outputs, Rows
from . import Decoder, one_pass


@dataclass(frozen=True)
class Answer:
    """How well a passage answers its query: larger is better; from 0 to 1 where it was learned as a probability."""

    score: float


def decode(outputs: Outputs, head: Mapping[str, Any], rows: Rows) -> list[Any]:
    """An answer for each row of `logits` (rows, 1).

    Raises BundleError E0503 for outputs of another shape.
    """
    logits = np.asarray(outputs.get("logits", ()), np.float64)
    if logits.shape[1:] != (1,):
        raise BundleError("E0503", "the graph does not give one score for each pair")
    if head["loss"] == "bce":  # the logit of a probability
        logits = 1 / (1 + np.exp(-np.clip(logits, -700, 700)))
    return [Answer(float(score)) for score in logits[:, 0]]


DECODER = Decoder(
    head={"loss": str},
    kind=Answer,
    answer=one_pass(decode),
)
