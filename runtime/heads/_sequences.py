"""Decoding with an encoder and a decoder: a text is written of each source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np

from ..errors import BundleError
from ..generation import Detokenizer, Options, generate, options_of, stream
from ..generation.encoded import EncodedSteps
from ..generation.options import CALL, HELP, check, trial
from ..generation.steps import log_totals
from ..rows import Outputs, Rows, by_length
from ..shape import ANY
from . import Decoder, Run

SIDE = range(1, 1 << 24)
HEAD = {
    "generation": {ANY: object},
    "stop_ids": [range(1 << 31)],
    "start_ids": [range(1 << 31)],
    "pad_id": range(1 << 31),
    "?positions": SIDE,  # absent where they are relative
}
ROWS, TOKENS = 32, 4096  # of sources in one batch, at most


def decoder(kind: type[Any]) -> Decoder:
    """The decoder whose answers are `kind`, a dataclass of a text, its score and its finish reason."""
    name = kind.__name__

    def answer(run: Run, head: Mapping[str, Any], rows: Rows, **options: Any) -> list[Any]:
        """A text for each source, or a tuple of texts where several `sequences` are asked for."""
        asked, found = _asked(head, options), {}
        for chosen in _batches(rows):
            steps, prompts = _steps(run, head, rows, chosen)
            keys = [rows.features[i]["input_ids"].tolist() for i in chosen]
            written = generate(steps, prompts, asked, Detokenizer(rows.tokenizer), keys=keys)
            for i, answers in zip(chosen, written, strict=True):
                found[i] = tuple(kind(each.text or "", each.score, each.finish_reason) for each in answers)
        return [found[i] if asked.sequences > 1 else found[i][0] for i in range(len(rows.features))]

    return Decoder(
        head=HEAD,
        kind=kind,
        written=fields(kind)[0].name,
        answer=answer,
        pieces=pieces,
        help=HELP,
        check=check,
        options={option: (of, f"tuple[{name}, ...]" if option == "sequences" else name) for option, of in CALL.items()},
        condense=evidence,
        trial=trial,
        shown={"seed": 0},
    )


def pieces(run: Run, head: Mapping[str, Any], rows: Rows, **options: Any) -> Iterator[str]:
    """The text for a source, in pieces as they come; raises BundleError E0505 for beams and sequences."""
    asked = _asked(head, options)
    if asked.sequences > 1:
        raise BundleError("E0505", f"`sequences` is {asked.sequences}, and a stream is of one text")
    steps, prompts = _steps(run, head, rows, [0])
    yield from (piece.text for piece in stream(steps, prompts, asked, Detokenizer(rows.tokenizer)) if piece.text)


def evidence(outputs: Outputs, rows: Sequence[Mapping[str, np.ndarray]]) -> Outputs:
    """Of logits (tokens, vocabulary) of each row the largest, and the logarithm of the sum of exponentials."""
    each = [np.asarray(logits, np.float32) for logits in outputs["logits"]]
    return {"largest": [logits.max(-1) for logits in each], "totals": [log_totals(logits) for logits in each]}


def _asked(head: Mapping[str, Any], options: Mapping[str, Any]) -> Options:
    """How texts are written: no longer than the decoder has positions."""
    asked = options_of(head["generation"], {"stop_tokens": tuple(head["stop_ids"])}, options)
    room = asked.max_new_tokens
    if positions := head.get("positions"):
        room = min(room, positions - len(head["start_ids"]))
    return replace(asked, max_new_tokens=room, min_new_tokens=min(asked.min_new_tokens, room))


def _batches(rows: Rows) -> Iterator[list[int]]:
    """Indices of rows in batches of similar length."""
    lengths = np.array([len(row["input_ids"]) for row in rows.features], np.int64)
    yield from (chosen.tolist() for chosen in by_length(lengths, ROWS, TOKENS))


def _steps(
    run: Run, head: Mapping[str, Any], rows: Rows, chosen: Sequence[int]
) -> tuple[EncodedSteps, list[list[int]]]:
    features = [rows.features[i] for i in chosen]
    longest = max(len(row["input_ids"]) for row in features)
    ids, mask = (
        np.full((len(features), longest), head["pad_id"], np.int64),
        np.zeros((len(features), longest), np.int64),
    )
    for i, row in enumerate(features):
        ids[i, : len(row["input_ids"])], mask[i, : len(row["input_ids"])] = row["input_ids"], 1
    sources = {"input_ids": ids, "attention_mask": mask}
    return EncodedSteps(run, sources), [list(head["start_ids"])] * len(features)
