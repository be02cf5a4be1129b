"""Sources of encoder-decoders as tokens, and in training the targets that are written of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..given import named
from ..prompts import Written
from ..rows import Rows
from ..shape import FILE
from . import Preprocessing
from ._tokens import answered, tokenizer_of

IDS = [range(1 << 31)]
AFFIXES = {"before": IDS, "after": IDS}
RECORD = {  # the shape of the manifest's `preprocessing`
    "tokenizer": FILE,
    "max_length": range(1, 1 << 24),
    "max_target_length": range(1, 1 << 24),
    "pad_id": range(1 << 31),
    "stop_ids": IDS,
    "start_ids": IDS,  # the decoder's first tokens
    "prefix": str,  # a text before every source
    "source": AFFIXES,  # tokens before and after a source
    "target": AFFIXES,
}
Row = dict[str, np.ndarray]


class Preprocessor:
    """Makes rows of sources (texts), and of sources with targets; both keep their first tokens."""

    budget = 512  # tokens in a batch, padding included

    def __init__(self, record: Mapping[str, Any], folder: Path) -> None:
        self.record = record
        self.tokenizer = tokenizer_of(folder / record["tokenizer"])
        self.plain = tokenizer_of(folder / record["tokenizer"])
        self.plain.encode_special_tokens = True  # what looks like a special token in a text is words

    def is_one(self, value: Any) -> bool:
        """No sequence is one input."""
        return False

    def check(self, value: Any) -> str | None:
        """Why `value` is not a usable input, or None."""
        texts = (value.source, value.target) if isinstance(value, Written) else (value,)
        if not all(isinstance(text, str) for text in texts):
            return f"expected a text, not {named(value)}"
        return "holds a lone surrogate, which is not text" if any(map(_is_broken, texts)) else None

    def rows(self, inputs: Sequence[Any]) -> Rows:
        """Rows of int64 arrays (tokens,): `input_ids`, `decoder_input_ids`, and `labels` where there is a target.

        Raises ValueError with a short reason for an input that can't be used.
        """
        inputs = [value.tolist() if isinstance(value, np.ndarray) else value for value in inputs]
        for value in inputs:
            if reason := self.check(value):
                raise ValueError(reason)
        sources = [value.source if isinstance(value, Written) else value for value in inputs]
        targets = [value.target for value in inputs if isinstance(value, Written)]
        labels = iter(self._encoded(targets, "target", self.record["max_target_length"]))
        read = self._encoded([self.record["prefix"] + text for text in sources], "source", self.record["max_length"])
        features = [
            self._learned(ids, next(labels)) if isinstance(value, Written) else _row(ids, self.record["start_ids"])
            for value, ids in zip(inputs, read, strict=True)
        ]
        return Rows(inputs, features, np.arange(len(features)), self.tokenizer)

    def collate(self, rows: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
        """A batch of int64 arrays of shape (rows, longest), padded on the right."""
        ids, decoder = (self._padded([row[name] for row in rows]) for name in ("input_ids", "decoder_input_ids"))
        lengths = np.array([len(row["input_ids"]) for row in rows])
        mask = (np.arange(ids.shape[1]) < lengths[:, None]).astype(np.int64)
        return {"input_ids": ids, "attention_mask": mask, "decoder_input_ids": decoder}

    def _padded(self, rows: Sequence[np.ndarray]) -> np.ndarray:
        found = np.full((len(rows), max(map(len, rows))), self.record["pad_id"], np.int64)
        for i, row in enumerate(rows):
            found[i, : len(row)] = row
        return found

    def _encoded(self, texts: Sequence[str], side: str, most: int) -> list[list[int]]:
        """The tokens of texts, at most `most` of each, with what stands before and after every one."""
        before, after = (self.record[side][place] for place in ("before", "after"))
        room = max(0, most - len(before) - len(after))
        found = answered(lambda asked: self.plain.encode_batch(asked, add_special_tokens=False), list(texts))
        return [[*before, *encoding.ids[:room], *after] for encoding in found]

    def _learned(self, ids: Sequence[int], labels: Sequence[int]) -> Row:
        """The decoder reads its targets a token late; the first of its own tokens is never one of them."""
        row = _row(ids, [*self.record["start_ids"][:1], *labels[:-1]])
        return {**row, "labels": np.array(labels, np.int64)}


def _row(ids: Sequence[int], decoder: Sequence[int]) -> Row:
    return {"input_ids": np.array(ids, np.int64), "decoder_input_ids": np.array(decoder, np.int64)}


def _is_broken(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def from_row(row: Mapping[str, Any]) -> Any:
    """What a row asks: its `source`."""
    return row.get("source")


PREPROCESSING = Preprocessing(
    record=RECORD,
    requires=lambda record: ("tokenizers",),
    preprocessor=Preprocessor,
    from_words=lambda words, record: list(words),
    from_row=from_row,
    input_help="a text",
    annotation=lambda record: "str",
    many=lambda record: "list[str] | tuple[str, ...] | Array",
)
