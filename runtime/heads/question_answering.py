"""Decodes question-answering: start and end logits become a span of the context, or no answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import BundleError
from ..rows import Outputs, Rows
from ..shape import NUMBER
from ..windows import nowhere, spans
from . import Decoder, one_pass


@dataclass(frozen=True)
class Answer:
    """A part of the context from `start` to `end` with its probability; empty where the context has no answer."""

    answer: str
    score: float
    start: int
    end: int


def decode(outputs: Outputs, head: Mapping[str, Any], rows: Rows, top_k: int | None = None) -> list[Any]:
    """The best answer to each pair of question and context; with `top_k`, that many, likeliest first.

    The answer is empty where the score of no answer exceeds that of the best span of all windows by more than
    `null_threshold` (Devlin et al., 2019). Probabilities are among the candidates. Raises BundleError E0503 for a graph
    without these logits.
    """
    if not {"start_logits", "end_logits"} <= outputs.keys():
        raise BundleError("E0503", "the graph gives no `start_logits` and `end_logits`")
    found = []
    for i, (_, context) in enumerate(rows.inputs):
        ranked = _ranked(*candidates(outputs, head, rows, i), head, context)
        found.append(ranked[0] if top_k is None else tuple(ranked[:top_k]))
    return found


def candidates(
    outputs: Outputs, head: Mapping[str, Any], rows: Rows, index: int
) -> tuple[list[tuple[float, int, int]], float]:
    """The best spans (score, start, end) of one input over its windows, and the score of no answer."""
    best: dict[tuple[int, int], float] = {}
    none = np.inf
    for j in rows.of(index):
        starts, ends = (np.asarray(outputs[name][j], np.float64) for name in ("start_logits", "end_logits"))
        feature = rows.features[j]
        none = min(none, float(starts[nowhere(feature)] + ends[nowhere(feature)]))
        for score, start, end in spans(feature, starts, ends, head["max_answer"]):
            best[start, end] = max(score, best.get((start, end), -np.inf))
    ranked = sorted(((score, start, end) for (start, end), score in best.items()), key=lambda s: (-s[0], s[1], s[2]))
    return ranked, none


def _ranked(found: list[tuple[float, int, int]], none: float, head: Mapping[str, Any], context: str) -> list[Answer]:
    threshold = head.get("null_threshold")
    listed = [(score, context[start:end], start, end) for score, start, end in found]
    if threshold is not None or not listed:
        listed.append((none, "", 0, 0))
    scores = np.array([score for score, *_ in listed])
    chances = np.exp(scores - scores.max())
    chances /= chances.sum()
    answers = [Answer(text, float(chance), a, b) for chance, (_, text, a, b) in zip(chances, listed, strict=True)]
    if threshold is None or not found:
        return answers
    empty = answers.pop()
    place = 0 if none - found[0][0] > threshold else 1 + sum(answer.score >= empty.score for answer in answers[1:])
    return [*answers[:place], empty, *answers[place:]]


DECODER = Decoder(
    head={"max_answer": range(1, 1 << 16), "?null_threshold": NUMBER},
    kind=Answer,
    options={"top_k": ("int", "tuple[Answer, ...]")},
    help={"top_k": "number of answers, the likeliest first"},
    answer=one_pass(decode),
)
