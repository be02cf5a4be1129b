"""Decodes translation: writes a text of each source, a token at a time, until the text ends."""

from __future__ import annotations

from dataclasses import dataclass

from ._sequences import decoder


@dataclass(frozen=True)
class Answer:
    """A translation, and the sum of its tokens' log-probabilities.

    `finish_reason` is `eos_token`, `stop_sequence` or `length`.
    """

    translation_text: str
    score: float
    finish_reason: str


DECODER = decoder(Answer)
