"""Decodes topic-shares: the topic that a text is about most."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..rows import Outputs, Rows
from . import Decoder, one_pass


@dataclass(frozen=True)
class Answer:
    """A topic and its share."""

    topic: str
    score: float


def decode(outputs: Outputs, head: Mapping[str, Any], rows: Rows) -> list[Answer]:
    """An answer for each row of `logits` (rows, topics)."""
    shares = 1 / (1 + np.exp(-np.asarray(outputs["logits"], np.float64)))
    return [Answer(head["topics"][int(row.argmax())], float(row.max())) for row in shares]


DECODER = Decoder(head={"topics": str}, kind=Answer, answer=one_pass(decode))
