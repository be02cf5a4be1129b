"""Decodes text-generation: goes on from a prompt, a token at a time, until the text ends."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..errors import BundleError
from ..generation import Detokenizer, Generated, Options, generate, options_of, stream
from ..generation.cached import CachedSteps
from ..generation.grouped import GroupedSteps
from ..generation.options import CALL, HELP, check, trial
from ..generation.steps import Steps, log_totals
from ..rows import Outputs, Rows, by_length
from ..shape import ANY
from . import Decoder, Run

SIDE = range(1, 1 << 24)
ROWS, TOKENS = 32, 4096  # of prompts in one batch, at most
Prompts = dict[int, list[int]]  # tokens by the index of a row


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
    found: dict[int, Any] = {}
    for asked, prompts in _batches(head, rows, options):
        given, contexts = [*prompts.values()], _contexts(rows, prompts)
        written = generate(steps_of(run, head), given, asked, Detokenizer(rows.tokenizer), contexts=contexts)
        for i, each in zip(prompts, written, strict=True):
            answers = tuple(map(_answer, each))
            found[i] = answers if asked.sequences > 1 else answers[0]
    return [found[i] for i in range(len(rows.features))]


def pieces(run: Run, head: Mapping[str, Any], rows: Rows, **options: Any) -> Iterator[str]:
    """The text that goes on from a prompt, in pieces as they come; raises BundleError E0505 for beams and sequences."""
    ((asked, prompts),) = _batches(head, rows, options)
    if asked.sequences > 1:
        raise BundleError("E0505", f"`sequences` is {asked.sequences}, and a stream is of one text")
    given, contexts = [*prompts.values()], _contexts(rows, prompts)
    found = stream(steps_of(run, head), given, asked, Detokenizer(rows.tokenizer), contexts=contexts)
    yield from (piece.text for piece in found if piece.text)


def steps_of(run: Run, head: Mapping[str, Any]) -> Steps:
    """The graph as decoding asks it, which pads rows on the left or on the right."""
    kind = GroupedSteps if head.get("padding") == "right" else CachedSteps
    return kind(run, head["pad_id"])


def _contexts(rows: Rows, prompts: Prompts) -> list[Sequence[int]]:
    """The tokens that each text goes on from: a prompt's own; an answer in a conversation is a text by itself."""
    return [ids if isinstance(rows.inputs[i], str) else () for i, ids in prompts.items()]


def _batches(head: Mapping[str, Any], rows: Rows, options: Mapping[str, Any]) -> Iterator[tuple[Options, Prompts]]:
    """How texts are written, and the prompts that they go on from, in batches of similar length.

    Prompts share a batch that leave room for as many tokens, so that each ends where it would end alone.
    """
    asked = options_of(head["generation"], {"stop_tokens": tuple(head["stop_ids"])}, options)
    prompts, groups = [row["input_ids"].tolist() for row in rows.features], defaultdict[int, list[int]](list)
    for i, prompt in enumerate(prompts):
        room = asked.max_new_tokens
        if positions := head["positions"]:
            prompts[i] = prompt[-(positions - min(room, positions // 2)) :]
            room = min(room, positions - len(prompts[i]))
        groups[room].append(i)
    for room, group in groups.items():
        own = replace(asked, max_new_tokens=room, min_new_tokens=min(asked.min_new_tokens, room))
        for chosen in by_length(np.array([len(prompts[i]) for i in group]), ROWS, TOKENS):
            yield own, {group[at]: prompts[group[at]] for at in chosen.tolist()}


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
    check=check,
    options={name: (kind, "tuple[Answer, ...]" if name == "sequences" else "Answer") for name, kind in CALL.items()},
    help=HELP,
    condense=evidence,
    shown={"seed": 0},
    trial=trial,
)
