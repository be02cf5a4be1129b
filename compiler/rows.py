"""Reads data rows: the one way in for validate, plan and build."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from . import variants
from .diagnostics import At, Diagnostic, Refused, Row, Status, listed, nearest, quote, refuse
from .diagnostics import Path as Keys
from .digest import combined, file_sha256
from .formats import Malformed
from .spec import Table, Tables


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


def open_tables(entry: Tables, base: Path, keys: Keys) -> tuple[Opened, ...]:
    """Finds every table of a split; raises Refused with E0310 where one is missing or of no known format."""
    entries = entry if isinstance(entry, tuple) else (entry,)
    found: list[Diagnostic] = []
    opened: list[Opened] = []
    for i, item in enumerate(entries):
        place = (*keys, i) if isinstance(entry, tuple) else keys
        try:
            opened.append(_open(item, base, place))
        except Refused as refused:
            found += refused.diagnostics
    if found:
        raise Refused(tuple(found))
    return tuple(opened)


def _open(entry: str | Table, base: Path, keys: Keys) -> Opened:
    table = entry if isinstance(entry, Table) else Table.model_validate({"from": entry})
    at = At((*keys, "from") if isinstance(entry, Table) else keys)
    inside = Path(table.from_)
    if table.split and os.path.isdir(base / inside / table.split):
        inside = inside / table.split
    path = base / inside
    if not os.path.exists(path):
        siblings = os.listdir(path.parent) if os.path.isdir(path.parent) else []
        note = "" if siblings else f"there is no folder {quote(inside.parent)}"
        raise refuse(
            "E0310",
            f"{quote(table.from_)} does not exist",
            *filter(None, [note]),
            at=at,
            help=nearest(path.name, siblings),
        )
    if table.format and table.format not in variants.words("formats"):
        known = variants.words("formats")
        raise refuse(
            "E0310", f"unknown format {quote(table.format)}", f"formats: {listed(known)}",
            at=At((*keys, "format")), help=nearest(table.format, known),
        )  # fmt: skip
    split = table.split if path.is_file() else None
    return Opened(path, str(inside), table.format or _format(path, at), split)


def _format(path: Path, at: At) -> str:
    if path.is_dir():
        return "image-folder"
    for word in variants.words("formats"):
        if path.suffix.lower() in variants.load("formats", word).SUFFIXES:
            return word
    raise refuse(
        "E0310",
        f"the ending of {quote(path.name)} names no data format",
        at=at,
        help=f"write {{from: …, format: …}} with one of: {listed(variants.words('formats'))}",
    )


def rows(table: Opened) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields (number, values) for every row of a table's split; numbers count as the format's module says.

    A NaN is no value: it comes out as None. Raises Refused E0317 at the row that can't be read, and E0312 where
    a split is asked for and no row names its own.
    """
    module = variants.load("formats", table.format)
    if module.EXTRA == "parquet" and find_spec("pyarrow") is None:
        raise refuse(
            "E0409", "reading parquet needs pyarrow", help="pip install 'graftc[parquet]'", status=Status.MACHINE
        )
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
