"""The record of a row reader: it makes one raw input (a text, a pair of texts, a path) of the cells of a row."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..facts.rows import Unusable

Record = Mapping[str, Any]  # pure data, a part of the plan
Row = Mapping[str, Any]  # a row's values by column
Columns = Mapping[str, tuple[str, ...]]  # role → the columns that play it


def no_files(row: Row, columns: Columns, folder: Path) -> Iterable[Path]:
    """The default of `RowReader.files`: rows name no files."""
    return ()


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class RowReader:
    """The functions that read the input of a row from the columns that play its roles.

    `folder` is the folder that paths in rows are relative to.
    """

    roles: tuple[str, ...]  # roles of the columns that make up one input
    optional: tuple[str, ...] = ()  # roles that may be absent, of inputs and of targets
    joined: tuple[str, ...] = ()  # roles that take several columns
    in_files: bool = False  # whether rows may name files that hold the inputs
    raw: Callable[[Row, Columns, Path], Any]  # (row, columns, folder) → the raw input
    refusal: Callable[[Row, Columns, Path], Unusable | None]  # a quick check: why a row is unusable, or None
    damage: Callable[[Row, Columns, Path], Unusable | None] | None = (
        None  # a check that reads the files too; None for `refusal`
    )
    files: Callable[[Row, Columns, Path], Iterable[Path]] = no_files  # the files that a row names
