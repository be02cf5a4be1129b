"""Decodes text-regression: one number for each input, or several by name."""

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
    """A number with its name, that of its column in the training data."""

    name: str
    score: float


def _is_several(head: Mapping[str, Any]) -> bool:
    return len(head["names"]) > 1


def decode(outputs: Outputs, head: Mapping[str, Any], rows: Rows) -> list[Any]:
    """An answer for each row of `logits` (rows, numbers), a tuple where there are several numbers.

    Raises BundleError E0503 for outputs of another shape.
    """
    logits = np.asarray(outputs.get("logits", ()), np.float64)
    if logits.shape[1:] != (len(head["names"]),):
        raise BundleError("E0503", "the graph answers with other numbers than the manifest names")
    found = [
        tuple(Answer(name, float(score)) for name, score in zip(head["names"], row, strict=True)) for row in logits
    ]
    return found if _is_several(head) else [answers[0] for answers in found]


DECODER = Decoder(
    head={"names": [str]},
    kind=Answer,
    is_several=_is_several,
    answer=one_pass(decode),
)
