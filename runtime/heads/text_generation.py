"""Decodes text-generation: goes on from a prompt, a token at a time, until the text ends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..errors import BundleError
from ..generation import Detokenizer, Generated, Options, generate, options_of, stream
from ..generation.cached import CachedSteps
from ..generation.grouped import GroupedSteps
from ..generation.options import CALL, HELP
from ..generation.steps import Steps, log_totals
from ..rows import Outputs, Rows
from ..shape import ANY
from . import Decoder, Run

SIDE = range(1, 1 << 24)


@dataclass(frozen=True)
class Answer:
    """A text, and the sum of its tokens' log-probabilities.

    `finish_reason` is `eos_token`, `stop_sequence` or `length`.
    """

    generated_text: str
    score: float
    finish_reason: str


def answer(run: Run, head: Mapping[str, Any], rows: Rows, **options: Any) -> list[Any]:
    """A text for each prompt, or a tuple of texts where several `sequences` are asked for.

    Where positions end, a prompt loses its first tokens, but keeps half of the positions, and texts end with them.
    """
    asked, prompts = _asked(head, rows, options)
    steps = steps_of(run, head)
    found = generate(steps, prompts, asked, Detokenizer(rows.tokenizer), contexts=_contexts(rows, prompts))
    answers = [tuple(map(_answer, each)) for each in found]
    return answers if asked.sequences > 1 else [each[0] for each in answers]


def pieces(run: Run, head: Mapping[str, Any], rows: Rows, **options: Any) -> Iterator[str]:
    """The text that goes on from a prompt, in pieces as they come; raises BundleError E0505 for beams and sequences."""
    asked, prompts = _asked(head, rows, options)
    if asked.sequences > 1:
        raise BundleError("E0505", f"`sequences` is {asked.sequences}, and a stream is of one text")
    steps = steps_of(run, head)
    yield from (
        piece.text
        for piece in stream(steps, prompts, asked, Detokenizer(rows.tokenizer), contexts=_contexts(rows, prompts))
        if piece.text
    )


def steps_of(run: Run, head: Mapping[str, Any]) -> Steps:
    """The graph as decoding asks it, which pads rows on the left or on the right."""
    kind = GroupedSteps if head.get("padding") == "right" else CachedSteps
    return kind(run, head["pad_id"])


def _contexts(rows: Rows, prompts: Sequence[Sequence[int]]) -> list[Sequence[int]]:
    """The tokens that each text goes on from: a prompt's own; an answer in a conversation is a text by itself."""
    return [ids if isinstance(value, str) else () for value, ids in zip(rows.inputs, prompts, strict=True)]


def _asked(head: Mapping[str, Any], rows: Rows, options: Mapping[str, Any]) -> tuple[Options, list[list[int]]]:
    """How texts are written, and the prompts that they go on from."""
    asked = options_of(head["generation"], {"stop_tokens": tuple(head["stop_ids"])}, options)
    prompts = [row["input_ids"].tolist() for row in rows.features]
    if positions := head["positions"]:
        room = min(asked.max_new_tokens, positions // 2)
        prompts = [prompt[-(positions - room) :] for prompt in prompts]
        room = min(asked.max_new_tokens, positions - max(map(len, prompts)))
        asked = replace(asked, max_new_tokens=room, min_new_tokens=min(asked.min_new_tokens, room))
    return asked, prompts


def evidence(outputs: Outputs, rows: Sequence[Mapping[str, np.ndarray]]) -> Outputs:
    """Of logits (tokens, vocabulary) of each row the log-probability of the next token, and the largest logit."""
    found: dict[str, list[np.ndarray]] = {"log_probabilities": [], "largest": []}
    for logits, row in zip(outputs["logits"], rows, strict=True):
        after, ids = np.asarray(logits[:-1], np.float32), row["input_ids"][1:]
        chosen = np.take_along_axis(after, ids[:, None], 1)[:, 0]
        found["log_probabilities"].append(chosen - log_totals(after))
        found["largest"].append(np.asarray(logits.max(-1), np.float32))
    return found


def _answer(found: Generated) -> Answer:
    return Answer(found.text or "", found.score, found.finish_reason)


DECODER = Decoder(
    head={
        "generation": {ANY: object},
        "stop_ids": [range(1 << 31)],
        "pad_id": range(1 << 31),
        "?padding": frozenset(("left", "right")),
        "positions": (None, SIDE),
    },
    kind=Answer,
    answer=answer,
    pieces=pieces,
    check=options_of,
    options={name: (kind, "tuple[Answer, ...]" if name == "sequences" else "Answer") for name, kind in CALL.items()},
    help=HELP,
    condense=evidence,
    shown={"seed": 0},
    trial={"max_new_tokens": 32},
)
