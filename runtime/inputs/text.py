"""Turns texts and pairs of texts into token arrays, in training and in bundles alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..given import named
from ..rows import Rows
from ..shape import FILE
from ..spans import trimmed, words
from . import Preprocessing
from ._tokens import answered, padded, tokenizer_of

RECORD = {  # the shape of the manifest's `preprocessing`
    "tokenizer": FILE,
    "is_pair": bool,
    "max_length": range(1, 1 << 24),
    "pad_id": range(1 << 31),
    "?has_offsets": bool,
    "?is_joined": bool,
    "?stride": range(1 << 24),
    "?is_apart": bool,
    "?is_masked": bool,
    "?mask_token": str,
    "?mask_id": range(1 << 31),
    "?special_ids": [range(1 << 31)],
}


def annotation(record: Mapping[str, Any]) -> str:
    """The type of one input, for generated wrappers."""
    return "tuple[str, str]" if record["is_pair"] else "str"


def many(record: Mapping[str, Any]) -> str:
    """The type of many inputs, for generated wrappers; `Array` is any type with `tolist`."""
    one = annotation(record)
    # a tuple of texts that are encoded one by one is one input
    return f"list[{one}] | Array" if record.get("is_apart") else f"list[{one}] | tuple[{one}, ...] | Array"


def from_words(words: Sequence[str], record: Mapping[str, Any]) -> list[Any]:
    """Inputs from words of a command line: one text for each word, or pairs.

    Raises ValueError for an odd number of words where pairs are needed.
    """
    if not record["is_pair"]:
        return list(words)
    if len(words) % 2:
        raise ValueError("pairs need an even number of texts")
    return [(words[i], words[i + 1]) for i in range(0, len(words), 2)]


class Preprocessor:
    """Tokenizes without padding, then pads a batch to its longest row."""

    budget = 512  # tokens in a batch, with padding: about the size of caches, and faster than more

    def __init__(self, record: Mapping[str, Any], folder: Path) -> None:
        self.record, file = record, folder / record["tokenizer"]
        self.tokenizer = tokenizer_of(file)
        windows = {"stride": record["stride"], "strategy": "only_second"} if "stride" in record else {}
        self.tokenizer.enable_truncation(record["max_length"], **windows)
        if windows:  # a question is measured for itself
            self.whole = tokenizer_of(file)

    def is_one(self, value: Any) -> bool:
        """Whether a sequence or an array is one input: a tuple of texts is, where inputs may have several texts."""
        return isinstance(value, tuple) and self.check(value) is None

    def check(self, value: Any) -> str | None:
        """Why `value` is not a usable input; None when it is."""
        several = isinstance(value, tuple | list) and bool(value) and all(isinstance(v, str) for v in value)
        if self.record.get("is_apart"):  # texts that are encoded one by one
            is_right, wanted = several or isinstance(value, str), "a text or several"
        elif self.record["is_pair"]:
            is_right, wanted = several and len(value) == 2, "a pair of texts"
        else:
            is_right, wanted = isinstance(value, str), "a text"
        if not is_right:
            return f"expected {wanted}, not {named(value)}"
        return _reason([value] if isinstance(value, str) else list(value))

    def rows(self, inputs: Sequence[Any]) -> Rows:
        """Rows of int64 arrays (tokens,), truncated to `max_length`.

        Raises ValueError with a short reason for an unusable input.
        """
        inputs = [value.tolist() if isinstance(value, np.ndarray) else value for value in inputs]
        for value in inputs:
            reason = self.check(value)
            if reason:
                raise ValueError(reason)
        asked, owners = self._asked(inputs)
        features, of = [], []
        for owner, text, encoding in zip(owners, asked, answered(self.tokenizer.encode_batch, asked), strict=True):
            for part in (encoding, *encoding.overflowing) if "stride" in self.record else (encoding,):
                features.append(self._row(part, text))
                of.append(owner)
        return Rows(inputs, features, np.array(of, np.int64), self.tokenizer)

    def _asked(self, inputs: Sequence[Any]) -> tuple[list[Any], list[int]]:
        """The texts or pairs for the tokenizer, and the input that each belongs to."""
        pairs = [tuple(value) if isinstance(value, list) else value for value in inputs]
        if "stride" in self.record:
            pairs = [(self._shortened(question), context) for question, context in pairs]
        if not self.record.get("is_apart"):
            return pairs, list(range(len(pairs)))
        parts = [
            (text, i) for i, value in enumerate(pairs) for text in (value if isinstance(value, tuple) else (value,))
        ]
        return [text for text, _ in parts], [i for _, i in parts]

    def _shortened(self, question: str) -> str:
        """The part of a question that leaves half of a window for the context."""
        most = max(1, self.record["max_length"] // 2 - self.tokenizer.num_special_tokens_to_add(True))
        if len(question.encode()) < most:  # no tokenizer makes more tokens than bytes, plus one
            return question
        ends = [
            end for _, end in answered(lambda text: self.whole.encode(text, add_special_tokens=False), question).offsets
        ]
        return question if len(ends) <= most else question[: ends[most - 1]]

    def _row(self, encoding: Any, asked: Any) -> dict[str, np.ndarray]:
        ids, types = encoding.ids, encoding.type_ids
        if not ids:  # some tokenizers add no special tokens, and attention needs at least one token
            ids, types = [self.record["pad_id"]], [0]
        row = {"input_ids": np.array(ids, np.int64), "token_type_ids": np.array(types, np.int64)}
        if self.record.get("is_masked"):
            row["masks"] = np.flatnonzero(row["input_ids"] == self.record["mask_id"])
        if self.record.get("has_offsets"):
            row |= self._places(encoding, (asked,) if isinstance(asked, str) else asked, len(ids))
        return row

    def _places(self, encoding: Any, texts: Sequence[str], count: int) -> dict[str, np.ndarray]:
        """For each token its characters (tokens, 2), its word, and its text of a pair; -1 for special tokens."""
        sequences = np.array([-1 if s is None else s for s in encoding.sequence_ids] or [-1] * count, np.int64)
        numbers = np.array([-1 if w is None else w for w in encoding.word_ids] or [-1] * count, np.int64)
        offsets = np.array(encoding.offsets or [(0, 0)] * count, np.int64).reshape(count, 2)
        for i, text in enumerate(texts):
            at = np.flatnonzero(sequences == i)
            offsets[at] = trimmed(offsets[at], text)
            numbers[at] = words(offsets[at], numbers[at], text, self.record.get("is_joined", False))
        return {"offsets": offsets, "words": numbers, "sequences": sequences}

    def collate(self, rows: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
        """A batch of int64 arrays of shape (rows, longest), padded on the right."""
        return padded(rows, self.record["pad_id"])


def _reason(texts: list[str]) -> str | None:
    return "holds a lone surrogate, which is not text" if any(map(_is_broken, texts)) else None


def _is_broken(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


PREPROCESSING = Preprocessing(
    record=RECORD,
    requires=lambda record: ("tokenizers",),
    preprocessor=Preprocessor,
    from_words=from_words,
    input_help="text (of pairs: text, other text, text, …)",
    annotation=annotation,
    many=many,
)
