"""Reads data rows: the one way in for validate, plan and build."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from . import variants
from .diagnostics import At, Diagnostic, Refused, Row, Status, listed, nearest, refuse
from .diagnostics import Path as Keys
from .digest import combined, file_sha256
from .formats import Malformed
from .spec import Table, Tables


@dataclass(frozen=True)
class Opened:
    """One data file or folder, found and with its format settled."""

    path: Path
    shown: str
    format: str
    split: str | None

    @property
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
    path = base / table.from_
    if table.split and path.is_dir() and (path / table.split).is_dir():
        path = path / table.split
    if not path.exists():
        siblings = [file.name for file in path.parent.iterdir()] if path.parent.is_dir() else []
        raise refuse("E0310", f"`{table.from_}` does not exist", at=at, help=nearest(path.name, siblings))
    return Opened(
        path, str(Path(table.from_)), table.format or _format(path, at), table.split if path.is_file() else None
    )


def _format(path: Path, at: At) -> str:
    if path.is_dir():
        return "image-folder"
    for word in variants.words("formats"):
        if path.suffix.lower() in variants.load("formats", word).SUFFIXES:
            return word
    raise refuse(
        "E0310",
        f"the ending of `{path.name}` names no data format",
        at=at,
        help=f"write {{from: …, format: …}} with one of: {listed(variants.words('formats'))}",
    )


def rows(table: Opened) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields (number, values) for every row of a table's split; numbers count as the format's module says.

    A NaN is no value: it comes out as None. Raises Refused E0317 at the row that can't be read.
    """
    module = variants.load("formats", table.format)
    if module.EXTRA == "parquet" and find_spec("pyarrow") is None:
        raise refuse(
            "E0409", "reading parquet needs pyarrow", help="pip install 'graftc[parquet]'", status=Status.MACHINE
        )
    try:
        for number, values in module.rows(table.path):
            if table.split is not None and values.get("split") != table.split:
                continue
            for key, value in values.items():
                if isinstance(value, float) and math.isnan(value):
                    values[key] = None
            yield number, values
    except Malformed as error:
        raise refuse("E0317", f"`{table.shown}` can't be read", error.reason, at=Row(table.shown, error.row)) from None
    except OSError as error:
        raise refuse(
            "E0310", f"`{table.shown}` can't be read", str(error.strerror or error), at=Row(table.shown)
        ) from None


def fingerprint(table: Opened, files: Iterable[Path]) -> str:
    """The hash of a table and of the files its rows refer to."""
    whole = [file_sha256(table.path)] if table.path.is_file() else []
    return combined(whole + [file_sha256(file) for file in files if file.is_file()])
