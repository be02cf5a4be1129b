"""Turns texts and pairs of texts into token arrays, the same way in training and in a bundle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..shape import FILE

RECORD = {  # the shape of the manifest's `preprocessing`
    "tokenizer": FILE,
    "is_pair": bool,
    "max_length": range(1, 1 << 24),
    "pad_id": range(1 << 31),
}
REQUIRES = ("tokenizers",)
IMPORTS = ()
INPUT_HELP = "text (of pairs: text, other text, text, …)"


def annotation(record: Mapping[str, Any]) -> str:
    """The type of one input, for generated wrappers."""
    return "tuple[str, str]" if record["is_pair"] else "str"


def from_words(words: Sequence[str], record: Mapping[str, Any]) -> list[Any]:
    """Inputs from words of a command line: a text each, or two.

    Raises ValueError for an odd number of words where pairs are asked for.
    """
    if not record["is_pair"]:
        return list(words)
    if len(words) % 2:
        raise ValueError("pairs need an even number of texts")
    return [(words[i], words[i + 1]) for i in range(0, len(words), 2)]


class Preprocessor:
    """Tokenises without padding, then pads a batch to its longest row."""

    def __init__(self, record: Mapping[str, Any], folder: Path) -> None:
        from tokenizers import Tokenizer

        self.record = record
        self.tokenizer = _asked(Tokenizer.from_file, str(folder / record["tokenizer"]))
        # a shipped tokenizer.json may pad or cut everything to a length of its own
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(record["max_length"])

    def check(self, value: Any) -> str | None:
        """Why `value` is not a usable input, or None."""
        is_pair = isinstance(value, tuple | list) and len(value) == 2 and all(isinstance(v, str) for v in value)
        if self.record["is_pair"] and not is_pair:
            return "expected a pair of texts"
        if not self.record["is_pair"] and not isinstance(value, str):
            return "expected a text"
        texts = value if is_pair else [value]
        return "holds a lone surrogate, which is not text" if any(_is_broken(text) for text in texts) else None

    def features(self, inputs: Sequence[Any]) -> list[dict[str, np.ndarray]]:
        """One dict of int64 arrays of shape (tokens,) per input, cut to `max_length`.

        Raises ValueError with a short reason for an input that can't be used.
        """
        for value in inputs:
            reason = self.check(value)
            if reason:
                raise ValueError(reason)
        pairs = [tuple(value) if isinstance(value, list) else value for value in inputs]
        encoded = _asked(self.tokenizer.encode_batch, pairs)
        return [self._row(e.ids, e.type_ids) for e in encoded]

    def _row(self, ids: list[int], types: list[int]) -> dict[str, np.ndarray]:
        if not ids:  # some tokenizers put nothing around a text, and attention needs something to look at
            ids, types = [self.record["pad_id"]], [0]
        return {"input_ids": np.array(ids, np.int64), "token_type_ids": np.array(types, np.int64)}

    def collate(self, rows: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
        """A batch of int64 arrays of shape (rows, longest), padded on the right."""
        longest = max(1, max(len(row["input_ids"]) for row in rows))
        shape = (len(rows), longest)
        ids = np.full(shape, self.record["pad_id"], np.int64)
        mask, types = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        for i, row in enumerate(rows):
            n = len(row["input_ids"])
            ids[i, :n], mask[i, :n], types[i, :n] = row["input_ids"], 1, row["token_type_ids"]
        return {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}


def _asked(function: Any, argument: Any) -> Any:
    """What the tokenizer's library answers; raises ValueError where it fails, in whichever way."""
    try:
        return function(argument)
    except BaseException as error:  # its panics are no Exceptions
        if isinstance(error, Exception) or type(error).__name__ == "PanicException":
            raise ValueError(f"the tokenizer fails: {str(error)[:200]}") from None
        raise


def _is_broken(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False
