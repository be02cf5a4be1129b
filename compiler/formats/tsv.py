"""Tab-separated values with a header.

Quotes mean what they mean to spreadsheets, which quote a cell that holds a tab or a quote. In files with plain quotes,
a cell that begins with one and does not end with it is refused.
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
    return table(path, "\t", told)


FORMAT = Format(suffixes=(".tsv", ".tab"), is_table=True, rows=rows)
