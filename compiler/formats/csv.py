"""Comma-separated values with a header, quoted as by spreadsheets.

A header without commas, with names between semicolons or tabs, sets the delimiter for the file. So does a first line
`sep=;`. Spreadsheets write both where the comma is the decimal mark.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..contracts.format import Format
from . import Told, stop
from ._table import table


def rows(path: Path, told: Told = stop) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields each row under the number of its first line."""
    return table(path, ",", told)


FORMAT = Format(suffixes=(".csv",), is_table=True, rows=rows)
