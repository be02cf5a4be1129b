"""What decoding asks of a language model, and what it makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ..errors import BundleError


class Steps(Protocol):
    """A language model with a cache, one row for each sequence; a new one for each call of `generate`.

    Logits are floats (rows, vocabulary) of each row's next token.
    """

    def start(self, prompts: Sequence[Sequence[int]], /) -> np.ndarray:
        """Logits after prompts of any lengths, a row each.

        Of an encoder-decoder these are what its decoder begins with; the encoder's outputs are the model's own affair.
        """

    def step(self, tokens: np.ndarray, /) -> np.ndarray:
        """Logits after a token more for each row, int64 (rows,)."""

    def keep(self, rows: np.ndarray, /) -> None:
        """Goes on with these rows of before, int64 indices (rows,): some are dropped, moved or repeated."""


@dataclass(frozen=True)
class Generated:
    """An answer: its tokens, how likely they are, and why it ends there.

    `tokens` are the new ones, with the stop token if one ended it. `score` is the sum of their log-probabilities as the
    model gives them, before options change anything. `finish_reason` is `eos_token`, `stop_sequence` or `length`.
    `text` stands without the stop token and what follows, None without a tokenizer; `log_probabilities` is None where
    it was not asked for. `beam_score` is what beam search ranks answers by.
    """

    tokens: tuple[int, ...]
    score: float
    finish_reason: str
    text: str | None = None
    log_probabilities: tuple[float, ...] | None = None
    beam_score: float | None = None


@dataclass(frozen=True)
class Piece:
    """A piece of the text of an answer: to which prompt, which of its answers; the last brings the whole answer."""

    prompt: int
    sequence: int
    text: str
    answer: Generated | None = None


def checked(logits: np.ndarray, rows: int) -> np.ndarray:
    """Logits as float32 (rows, vocabulary); raises BundleError E0503 for what is none."""
    found = np.asarray(logits, np.float32)
    if found.ndim != 2 or len(found) != rows or not found.shape[1]:
        shape = " × ".join(map(str, found.shape))
        raise BundleError("E0503", f"the model gives {shape} logits for {rows} rows")
    if not np.isfinite(found.max(axis=1)).all():
        raise BundleError("E0503", "the logits hold what is no number", help="`graftc verify` the bundle")
    return found


def log_totals(logits: np.ndarray) -> np.ndarray:
    """The logarithm of the sum of exponentials of each row, float64 (rows,): logits less this are log-probabilities."""
    found = np.empty(len(logits))
    buffer = np.empty(logits.shape[1], np.float32)  # one row at a time stays in a core's cache
    for i, row in enumerate(logits):
        most = row.max()
        np.exp(np.subtract(row, most, out=buffer), out=buffer)
        found[i] = float(most) + np.log(float(buffer.sum()))
    return found


def refuse_nothing(scores: np.ndarray) -> None:
    """Refuses rows of scores (rows, …) in which no token is left; raises BundleError E0505."""
    if not np.isfinite(scores.reshape(len(scores), -1).max(axis=1)).all():
        help = "`no_repeat_ngram` above that, or fewer `max_new_tokens`"
        raise BundleError("E0505", "the options leave no token that an answer could go on with", help=help)
