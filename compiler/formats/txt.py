"""Plain text, one text in each line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..contracts.format import Format
from . import Told, stop
from ._lines import lines


def rows(path: Path, told: Told = stop) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields each line that is not blank as `text`, under its number."""
    for number, line in lines(path, told):
        if not line.isspace():
            yield number, {"text": line.removesuffix("\n").removesuffix("\r")}


FORMAT = Format(suffixes=(".txt",), columns=("text",), rows=rows)
