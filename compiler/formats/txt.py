"""Plain text, one text per line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from . import Told, stop
from ._lines import lines

SUFFIXES: tuple[str, ...] = (".txt",)
EXTRA = ""
COLUMNS: tuple[str, ...] = ("text",)


def rows(path: Path, told: Told = stop) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields each line that is not blank as `text`, under its number."""
    for number, line in lines(path, told):
        if not line.isspace():
            yield number, {"text": line.removesuffix("\n").removesuffix("\r")}
