"""Decodes fill-mask: logits over the vocabulary become the likeliest words of each mask."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import BundleError
from ..rows import Outputs, Rows
from . import Decoder, one_pass


@dataclass(frozen=True)
class Answer:
    """A word for a mask: its id, its text, its probability, and the whole text with it."""

    token: int
    token_str: str
    score: float
    sequence: str


def decode(outputs: Outputs, head: Mapping[str, Any], rows: Rows, top_k: int = 5) -> list[tuple[Answer, ...]]:
    """The `top_k` likeliest words of each mask of each text, from `logits`: (masks, words) for each row.

    Masks of a text follow one another. A text without a mask gets no answer. Raises BundleError E0503 for logits over
    another vocabulary than the manifest's.
    """
    if any(logits.shape[1:] != (head["vocabulary"],) for logits in outputs.get("logits", [np.zeros(0)])):
        raise BundleError("E0503", "the graph answers for another vocabulary than the manifest names")
    return [
        tuple(a for j in rows.of(i) for a in _answers(outputs["logits"][j], rows.features[j], rows.tokenizer, top_k))
        for i in range(len(rows.inputs))
    ]


def _answers(logits: np.ndarray, feature: Mapping[str, np.ndarray], tokenizer: Any, top_k: int) -> Iterator[Answer]:
    masks = feature["masks"]
    for position, scores in zip(masks, logits.astype(np.float64), strict=True):
        chances = np.exp(scores - scores.max())
        chances /= chances.sum()
        for token in np.argsort(-scores, kind="stable")[:top_k].tolist():
            ids = feature["input_ids"].copy()
            ids[position] = token
            text = tokenizer.decode(ids.tolist(), skip_special_tokens=len(masks) == 1)
            yield Answer(token, tokenizer.decode([token]), float(chances[token]), text)


DECODER = Decoder(
    head={"vocabulary": int},
    kind=Answer,
    is_several=lambda head: True,
    options={"top_k": ("int", "tuple[Answer, ...]")},
    help={"top_k": "number of answers, the likeliest first"},
    answer=one_pass(decode),
)
