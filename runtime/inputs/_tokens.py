"""Texts as tokens: the tokenizer of a file, and batches of token arrays."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np


def tokenizer_of(file: Path) -> Any:
    """The tokenizer of a file, which neither pads nor cuts; raises ValueError where it is missing or unreadable."""
    from tokenizers import Tokenizer

    if not os.path.isfile(file):  # a pipe would be waited for
        raise ValueError(f"`{file.name}` is missing, or no file")
    found = answered(Tokenizer.from_file, str(file))
    # a shipped tokenizer.json may pad or cut everything to a length of its own
    found.no_padding()
    found.no_truncation()
    return found


def padded(rows: Sequence[Mapping[str, np.ndarray]], pad_id: int) -> dict[str, np.ndarray]:
    """Token arrays of rows as a batch of int64 (rows, longest), padded on the right."""
    longest = max(1, max(len(row["input_ids"]) for row in rows))
    shape = (len(rows), longest)
    ids = np.full(shape, pad_id, np.int64)
    mask, types = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    for i, row in enumerate(rows):
        n = len(row["input_ids"])
        ids[i, :n], mask[i, :n], types[i, :n] = row["input_ids"], 1, row["token_type_ids"]
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}


def answered(function: Any, argument: Any) -> Any:
    """The result of a function of the tokenizers library; raises ValueError where it fails in any way."""
    try:
        return function(argument)
    except BaseException as error:  # PanicException is no Exception
        if isinstance(error, Exception) or type(error).__name__ == "PanicException":
            raise ValueError(f"the tokenizer fails: {str(error)[:200]}") from None
        raise
