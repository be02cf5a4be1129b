"""How the cells of a row become one raw input: a text, a pair of texts, a path."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..facts.rows import Unusable

Record = Mapping[str, Any]  # pure data, as the plan has it
Row = Mapping[str, Any]  # a row's values by column
Columns = Mapping[str, tuple[str, ...]]  # role → its columns


def no_files(row: Row, columns: Columns, folder: Path) -> Iterable[Path]:
    """Rows hold their inputs themselves."""
    return ()


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class RowReader:
    """What reads the input of a row, from the columns that play its roles.

    `folder` is the one that paths in rows are relative to.
    """

    roles: tuple[str, ...]  # of columns that make up one input
    optional: tuple[str, ...] = ()  # those that may be absent; a target that may be absent is named here too
    joined: tuple[str, ...] = ()  # those that take several columns
    in_files: bool = False  # whether rows may name files in which their inputs lie
    raw: Callable[[Row, Columns, Path], Any]  # (row, columns, folder) → the raw input
    refusal: Callable[[Row, Columns, Path], Unusable | None]  # what is wrong with a row, as far as a glance shows
    damage: Callable[[Row, Columns, Path], Unusable | None] | None = None  # the same from all of it; default `refusal`
    files: Callable[[Row, Columns, Path], Iterable[Path]] = no_files  # that a row refers to
