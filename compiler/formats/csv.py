"""Comma-separated values with a header, quoted as spreadsheets do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ._table import table

SUFFIXES: tuple[str, ...] = (".csv",)
EXTRA = ""


def rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields each row under the number of the line on which it starts."""
    return table(path, ",")
