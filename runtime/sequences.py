"""A text that is read, and in training the text that is written of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Written:
    """A source and the target to be learned of it."""

    source: str
    target: str
