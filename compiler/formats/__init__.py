"""Data formats, one module per word of `format`, each yielding numbered rows."""

from __future__ import annotations

from collections.abc import Callable


class Malformed(Exception):
    """A row that can't be read; `row` counts as the reader counts, 0 means the whole file; `help` is a way out."""

    def __init__(self, row: int, reason: str, help: str = "") -> None:
        super().__init__(f"row {row}: {reason}")
        self.row = row
        self.reason = reason
        self.help = help
        self.is_row = False  # whether reading could go on after it


Told = Callable[[Malformed], None]  # what becomes of a row that can't be read, where reading can go on after it


def stop(error: Malformed) -> None:
    """Raises it: a row that can't be read ends the reading."""
    error.is_row = True
    raise error
