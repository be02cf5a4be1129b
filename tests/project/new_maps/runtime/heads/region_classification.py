"""Decodes region-classification: the labels of a grid's cells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..rows import Outputs, Rows
from . import Decoder, one_pass


@dataclass(frozen=True)
class Answer:
    """A label for each cell, by rows."""

    regions: tuple[tuple[str, ...], ...]


def decode(outputs: Outputs, head: Mapping[str, Any], rows: Rows) -> list[Answer]:
    """An answer for each input of `logits` (inputs, labels, rows, columns)."""
    best = np.asarray(outputs["logits"]).argmax(1)
    return [Answer(tuple(tuple(head["labels"][cell] for cell in row) for row in grid)) for grid in best.tolist()]


DECODER = Decoder(head={"labels": [str]}, kind=Answer, answer=one_pass(decode))
