"""Prompts of language models, and in training the texts that go on from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def prompts(tokenizer: Any, record: Mapping[str, Any], inputs: Sequence[Any]) -> list[dict[str, np.ndarray]]:
    """A row for each prompt, or for each pair of a prompt and its completion.

    A prompt keeps its last `max_length` tokens. A completion is followed by `end_id`, and the row is cut to `max_length`
    at its end; `learned` (tokens,) is 1 where a token is of the completion. Raises ValueError where none is left.
    """
    texts = [value if isinstance(value, str) else "".join(value) for value in inputs]
    encodings = tokenizer.encode_batch(texts)
    return [
        _prompt(encoding, record) if isinstance(value, str) else _completed(encoding, record, len(value[0]))
        for value, encoding in zip(inputs, encodings, strict=True)
    ]


def _prompt(encoding: Any, record: Mapping[str, Any]) -> dict[str, np.ndarray]:
    ids = encoding.ids[-record["max_length"] :] or [record["end_id"]]  # a model needs something to go on from
    return _row(ids)


def _completed(encoding: Any, record: Mapping[str, Any], first: int) -> dict[str, np.ndarray]:
    """A row of which the tokens from the character `first` on are learned, and the end."""
    of_text = zip(encoding.offsets, encoding.sequence_ids, strict=True)
    learned = [sequence is not None and start >= first for (start, _), sequence in of_text]
    ids = list(encoding.ids)
    if not ids or ids[-1] != record["end_id"]:
        ids, learned = [*ids, record["end_id"]], [*learned, True]
    learned[-1] = True
    most = record["max_length"]
    if not any(learned[1:most]):
        raise ValueError(f"nothing of the completion is left within {most} tokens")
    return {**_row(ids[:most]), "learned": np.array(learned[:most], np.int8)}


def _row(ids: Sequence[int]) -> dict[str, np.ndarray]:
    return {"input_ids": np.array(ids, np.int64), "token_type_ids": np.zeros(len(ids), np.int64)}
