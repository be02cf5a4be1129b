"""Comma-separated values with a header, quoted as spreadsheets do.

A header without a comma whose names stand between semicolons or tabs says that all cells do, as a first line `sep=;`
does: so spreadsheets write where the comma is for decimals.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..contracts.format import Format
from . import Told, stop
from ._table import table


def rows(path: Path, told: Told = stop) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields each row under the number of the line on which it starts."""
    return table(path, ",", told)


FORMAT = Format(suffixes=(".csv",), is_table=True, rows=rows)
