"""Reads data rows: the one way in for validate, plan and build."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from .. import variants
from ..diagnostics import Row, Status, quote, refuse
from ..digest import combined, file_sha256
from ..extras import installing
from ..formats import Malformed


@dataclass(frozen=True)
class Unusable:
    """Why a row can't be used: its column, the kind of mistake, and what this row has there."""

    column: str
    reason: str
    detail: str = ""
    code: str = "E0313"


_KINDS = {bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "an object", bytes: "bytes"}


def kind_of(value: object) -> str:
    """What a cell holds, in words.

    >>> kind_of([1])
    'a list'
    """
    return _KINDS.get(type(value), "text" if isinstance(value, str) else f"a {type(value).__name__}")


@dataclass(frozen=True)
class Opened:
    """One data file or folder, found and with its format settled."""

    path: Path
    shown: str
    format: str
    split: str | None

    @cached_property
    def folder(self) -> Path:
        """What paths inside the rows are relative to."""
        return self.path if self.path.is_dir() else self.path.parent


def rows(table: Opened) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields (number, values) for every row of a table's split; numbers count as the format's module says.

    A NaN is no value: it comes out as None. Raises Refused E0317 at the row that can't be read, and E0312 where
    a split is asked for and no row names its own.
    """
    module = variants.load("formats", table.format)
    if module.EXTRA == "parquet" and find_spec("pyarrow") is None:
        raise refuse("E0409", "reading parquet needs pyarrow", help=installing("parquet"), status=Status.MACHINE)
    is_divided = table.split is None
    try:
        for number, values in module.rows(table.path):
            is_divided = is_divided or "split" in values
            if table.split is not None and values.get("split") != table.split:
                continue
            for key, value in values.items():
                if type(value) is float and value != value:
                    values[key] = None
            yield number, values
    except Malformed as error:
        at = Row(table.shown, error.row)
        raise refuse("E0317", f"{quote(table.shown)} can't be read", error.reason, at=at) from None
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise refuse("E0310", f"{quote(table.shown)} can't be read", reason, at=Row(table.shown)) from None
    if not is_divided:
        headline = f"{quote(table.shown)} has no column `split`"
        raise refuse("E0312", headline, f"rows of the split {quote(table.split)} were asked for", at=Row(table.shown))


def fingerprint(table: Opened, files: Iterable[Path]) -> str:
    """The hash of a table and of the files its rows refer to; of a folder also their names, which are its rows."""
    if table.path.is_file():
        return combined([file_sha256(table.path), *(file_sha256(file) for file in files if file.is_file())])
    named = ((os.path.relpath(file, table.path), file) for file in files)
    return combined(f"{file_sha256(file)} {name}" for name, file in named if file.is_file())
