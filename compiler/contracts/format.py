"""The record of a data format."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..formats import Told


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Format:
    """The record of a data format; `formats/<format>.py` has it as FORMAT. It reads a data file into numbered rows."""

    suffixes: tuple[str, ...]  # file endings that select this format, with the dot
    extra: str = ""  # the pip extra that reading needs
    columns: tuple[
        str, ...
    ] = ()  # columns that every file of this format has; a file without them may belong to another
    rows: Callable[[Path, Told], Iterator[tuple[int, dict[str, Any]]]]
    """(file, told) → number and values of each row; calls `told` with a Malformed for a row that can't be read"""
