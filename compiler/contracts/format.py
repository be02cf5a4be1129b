"""The record of a data format."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from ..formats import Told


class Extra(NamedTuple):
    """A pip extra of graftc, and the module that it brings."""

    name: str
    module: str


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Format:
    """The record of a data format; `formats/<format>.py` has it as FORMAT. It reads a data file into numbered rows."""

    suffixes: tuple[str, ...]  # file endings that select it, with the dot
    extra: Extra | None = None  # that it needs
    is_table: bool = False  # its columns have names of their own, so that its lines are no inputs
    columns: tuple[str, ...] = ()  # those that it always has: a file that lacks them may be read by another format
    rows: Callable[[Path, Told], Iterator[tuple[int, dict[str, Any]]]]
    """(file, told) → number and values of each row; calls `told` with a Malformed for a row that can't be read"""
