"""Tab-separated values with a header.

Quotes mean what they mean to a spreadsheet, which writes a cell that holds a tab or a quote that way.
Where they are plain characters, a cell that begins with one and does not end with it is refused.
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
    return table(path, "\t", told)


FORMAT = Format(suffixes=(".tsv", ".tab"), is_table=True, rows=rows)
