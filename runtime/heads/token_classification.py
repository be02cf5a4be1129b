"""Decodes token-classification: logits over tags become entities with their place in the text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import BundleError
from ..rows import Outputs, Rows
from ..spans import entities, placed
from . import Decoder, one_pass


@dataclass(frozen=True)
class Answer:
    """An entity: its group, its text from `start` to `end`, and its mean probability."""

    entity_group: str
    word: str
    start: int
    end: int
    score: float


def decode(outputs: Outputs, head: Mapping[str, Any], rows: Rows) -> list[tuple[Answer, ...]]:
    """The entities of each text, from `logits`: (tokens, labels) for each row.

    A word gets the likeliest tag of its first token, and words whose tags continue form one entity. Raises BundleError
    E0503 for logits over other tags than the manifest's.
    """
    if "logits" not in outputs:
        raise BundleError("E0503", "the graph gives no `logits`")
    if any(logits.shape[1:] != (len(head["labels"]),) for logits in outputs["logits"]):
        raise BundleError("E0503", "the graph answers for other labels than the manifest names")
    found = []
    for i, text in enumerate(rows.inputs):
        found.append(tuple(e for j in rows.of(i) for e in _answers(outputs["logits"][j], rows.features[j], text, head)))
    return found


def _answers(logits: np.ndarray, feature: Mapping[str, np.ndarray], text: str, head: Mapping[str, Any]) -> list[Answer]:
    firsts, places = placed(feature)
    chances = np.exp(logits[firsts].astype(np.float64) - logits[firsts].max(-1, keepdims=True, initial=-np.inf))
    chances /= chances.sum(-1, keepdims=True)
    best = chances.argmax(-1)
    found = []
    for first, end, label in entities([head["labels"][i] for i in best]):
        start, stop = int(places[first, 0]), int(places[end - 1, 1])
        score = float(chances[range(first, end), best[first:end]].mean())
        found.append(Answer(label, text[start:stop], start, stop, score))
    return found


DECODER = Decoder(
    head={"labels": [str]},
    kind=Answer,
    is_several=lambda head: True,
    answer=one_pass(decode),
)
