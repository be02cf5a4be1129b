"""Data formats: one module for each word of `format`, which yields numbered rows."""

from __future__ import annotations

from collections.abc import Callable


class Malformed(Exception):
    """A row that can't be read; `row` is its number, 0 for the whole file; `help` is advice."""

    def __init__(self, row: int, reason: str, help: str = "") -> None:
        super().__init__(f"row {row}: {reason}")
        self.row = row
        self.reason = reason
        self.help = help
        self.is_row = False  # whether reading can continue after it


Told = Callable[[Malformed], None]  # called for a row that can't be read, where reading can continue after it


def stop(error: Malformed) -> None:
    """Raises the error, so that an unreadable row ends reading."""
    error.is_row = True
    raise error
