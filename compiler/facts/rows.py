"""Reads data rows, for validate, plan and build alike."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import variants
from ..boundary import CODE as OUTSIDE
from ..boundary import OPEN, WAY, Boundary
from ..diagnostics import At, Diagnostic, Refused, Row, Status, clean, quote, refuse
from ..extras import installing
from ..formats import Malformed, Told, stop
from ..store.hashes import file_sha256

if TYPE_CHECKING:
    from ..contracts.reading import RowReader

SHOWN = 5  # the most rows in a message on one kind of mistake
MOST = 20  # the most files in such a message
SKIP = "leave such rows out: `bad_rows: {skip: 0.01}` under `data`"
HEADER = 50  # rows read to find the columns, because a row of JSON may leave some out


@dataclass(frozen=True)
class Unusable:
    """Why a row can't be used: its column, the kind of fault, and the value of this row."""

    column: str
    reason: str
    detail: str = ""
    code: str = "E0313"
    help: str = ""  # advice other than mending the row or taking it out

    def untold(self, row: Mapping[str, Any]) -> Unusable:
        """The same without any value of the row."""
        if self.code == OUTSIDE:
            return self
        detail = told(row.get(self.column)) if self.column in row else ""
        return Unusable(self.column, without_values(self.reason), detail, self.code, self.help)


def without_values(text: str) -> str:
    """A message without quoted values: everything from the first backtick to the last is removed.

    >>> without_values("the key `a` b` stands there twice")
    'the key … stands there twice'
    """
    return re.sub("`.*`", "…", text, flags=re.DOTALL)


def outside_of(table: Opened, reader: RowReader, row: Mapping[str, Any], columns: Mapping[str, Any]) -> Unusable | None:
    """The fault of a row that names a file outside of the table's boundary; None for none. Opens nothing."""
    if not table.boundary.is_closed:
        return None
    try:
        files = reader.files(row, columns, table.folder)
    except (KeyError, TypeError, ValueError):  # an unsound row, which the reader reports
        return None
    if not any(map(table.boundary.is_outside, files)):
        return None
    column = next(iter(columns[reader.roles[0]]))
    reason = f"names a file that lies outside of {table.boundary.shown}"
    return Unusable(column, reason, told(row.get(column)), OUTSIDE, WAY)


@dataclass
class Mistake:
    """One kind of fault in rows: its number of rows, and the first of them."""

    wrong: Unusable
    count: int = 0
    numbers: list[int] = field(default_factory=list)  # numbers of the first rows

    def add(self, number: int) -> None:
        """Counts a row."""
        self.count += 1
        if len(self.numbers) < MOST:
            self.numbers.append(number)


def in_rows(mistake: Mistake, table: Opened, split: str, role: str) -> Diagnostic:
    """The diagnostic on one kind of fault, at its first row; `role` is given where every row has it."""
    wrong, rows = mistake.wrong, mistake.count
    places = [table.row(number) for number in mistake.numbers[: MOST if table.path.is_dir() else SHOWN]]
    is_file = not places[0].number  # in a folder a row is a file
    shown = ", ".join(clean(place.file) if is_file else str(place.number) for place in places)
    shown += ", …" if rows > len(places) else ""
    count = f"{rows} rows of the {split} data: {shown}" if rows > 1 else ""
    notes = tuple(note for note in (wrong.detail, count) if note)
    headline, at, one = f"{quote(wrong.column)} {wrong.reason}", places[0], rows == 1
    if role:
        also, way = (
            (At(("data", "columns", role), "so it is in every row"),),
            f"name the column that holds what `{role}` means",
        )
        return Diagnostic(wrong.code, headline, at, also, notes, wrong.help or f"{way}, or mend {clean(table.shown)}")
    which = f"row{'' if one else 's'} {shown}" if rows <= SHOWN else "these rows"
    what = ("it" if one else "these files") if is_file else f"{which} of {clean(table.shown)}"
    help = wrong.help or f"mend {what}, or take {'it' if one else 'them'} out; or {SKIP}"
    return Diagnostic(wrong.code, headline, at, notes=notes, help=help)


_KINDS = {
    type(None): "null",
    bool: "true or false",
    int: "a number",
    float: "a number",
    list: "a list",
    dict: "an object",
    bytes: "bytes",
}


def kind_of(value: object) -> str:
    """The type of a cell in words.

    >>> kind_of([1])
    'a list'
    """
    return _KINDS.get(type(value), "text" if isinstance(value, str) else f"a {type(value).__name__}")


def cell(row: Mapping[str, Any], name: str) -> Unusable | None:
    """What is wrong with a cell that should be a text; None for nothing."""
    value = row.get(name)
    if type(value) is str and value and not value.isspace():
        return None
    if value is None:
        return Unusable(name, "is missing")
    if not isinstance(value, str):
        return Unusable(name, f"is {kind_of(value)}, not text", f"it is {clean(value)}")
    return Unusable(name, "is empty")


def told(value: object) -> str:
    """A cell by type and length, where its value must not be printed.

    >>> told("secret"), told([1, 2]), told(7), told(None)
    ('it is text of 6 characters', 'it is a list of 2', 'it is a number', 'it is null')
    """
    if value is None:
        return "it is null"
    length = f" of {len(value)}" if isinstance(value, str | bytes | list | dict) else ""
    return f"it is {kind_of(value)}{length}{' characters' if isinstance(value, str) else ''}"


def lacks(row: Mapping[str, Any], names: Iterable[str]) -> bool:
    """Whether a row has none of some targets, so that their head can't use it."""
    return all(row.get(name) in (None, "") for name in names)


def answers(values: Mapping[str, Any], names: Sequence[str]) -> str:
    """The target of a row as a text; labels in another order give the same text."""
    value = values.get(names[0]) if len(names) == 1 else [values.get(name) for name in names]
    if type(value) is str:
        return value
    if isinstance(value, list) and len(names) == 1:
        return "|".join(sorted(map(str, value)))
    return str(value)


def peek(numbered: Iterator[Any]) -> tuple[list[Any], Refused | None]:
    """The first rows, and the error that ended reading, if any."""
    first: list[Any] = []
    try:
        for row in islice(numbered, HEADER):
            first.append(row)
    except Refused as refused:
        return first, refused
    return first, None


@dataclass(frozen=True)
class Opened:
    """One data file or folder with its format; `skipped` are the numbers of rows that are left out."""

    path: Path
    shown: str
    format: str
    split: str | None
    skipped: frozenset[int] = frozenset()
    boundary: Boundary = OPEN  # paths in its rows must lie inside

    @classmethod
    def again(
        cls,
        root: Path,
        shown: str,
        format: str,
        split: str | None,
        skipped: frozenset[int],
        boundary: Boundary = OPEN,
    ) -> Opened:
        """A table that was found before, maybe from another root."""
        path = root / shown
        path = path / split if split and (path / split).is_dir() else path
        return cls(path, shown, format, split if path.is_file() else None, skipped, boundary)

    @cached_property
    def folder(self) -> Path:
        """The folder that paths in rows are relative to."""
        return self.path if self.path.is_dir() else self.path.parent

    @cached_property
    def _files(self) -> dict[int, str]:
        """For a folder: number of a row → its file."""
        found = variants.format(self.format).rows(self.path, lambda error: None)
        return {n: next((v for v in values.values() if (self.path / v).is_file()), "") for n, values in found}

    def row(self, number: int) -> Row:
        """The place of a row: file and number, or the row's file in a folder."""
        if self.path.is_dir() and (file := self._files.get(number)):
            return Row(f"{self.shown}/{file}")
        return Row(self.shown, number)


def rows(table: Opened, told: Told = stop) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields (number, values) for every row of a table's split; numbers count as the format's module says.

    Skipped rows are left out. `told` is called for rows that can't be read, where reading continues after them. Raises
    Refused E0317 at a row that can't be read, and E0312 where the column `split` is needed and absent.
    """
    extra = variants.format(table.format).extra
    if extra and find_spec(extra.module) is None:
        headline = f"reading {table.format} needs {extra.module}"
        raise refuse("E0409", headline, help=installing(extra.name), status=Status.MACHINE)
    try:
        yield from _divided(table, _past(table) if table.skipped else told)
    except Malformed as error:
        # a folder has no line; the place in the spec is better
        at = None if table.path.is_dir() else Row(table.shown, error.row)
        error = _untold(error) if table.boundary.is_closed else error
        help = f"{error.help or 'mend it'}, or {SKIP}" if error.is_row else error.help
        raise refuse("E0317", f"{quote(table.shown)} can't be read", error.reason, at=at, help=help) from None
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise refuse("E0310", f"{quote(table.shown)} can't be read", reason, at=Row(table.shown)) from None


def _untold(error: Malformed) -> Malformed:
    """The same mistake without values of the file."""
    found = Malformed(error.row, without_values(error.reason), without_values(error.help))
    found.is_row = error.is_row
    return found


def _past(table: Opened) -> Told:
    """A `told` that passes skipped rows and stops at others."""

    def told(error: Malformed) -> None:
        if error.row not in table.skipped:
            raise error

    return told


def _divided(table: Opened, told: Told) -> Iterator[tuple[int, dict[str, Any]]]:
    found = variants.format(table.format).rows(table.path, told)
    if table.skipped:
        found = ((number, values) for number, values in found if number not in table.skipped)
    if table.split is None:
        yield from found
        return
    is_divided = False
    for number, values in found:
        is_divided = is_divided or "split" in values
        if values.get("split") == table.split:
            yield number, values
    if not is_divided:
        headline = f"{quote(table.shown)} has no column `split`"
        raise refuse("E0312", headline, f"rows of the split {quote(table.split)} were asked for", at=Row(table.shown))


class Fingerprint:
    """The hash of a table and of the files that its rows name; for a folder, also of their names."""

    def __init__(self, table: Opened) -> None:
        self.table = table
        self.is_file = table.path.is_file()
        self.size = table.path.stat().st_size if self.is_file else None
        self.sum = sha256(file_sha256(table.path).encode() if self.is_file else b"")
        self.is_empty = not self.is_file

    def add(self, file: Path) -> str:
        """Adds a file; returns the hash of its bytes, or "" where it is no file."""
        if not file.is_file():
            return ""
        found = file_sha256(file)
        part = found if self.is_file else f"{found} {os.path.relpath(file, self.table.path)}"
        self.sum.update(part.encode() if self.is_empty else b"\n" + part.encode())
        self.is_empty = False
        return found

    def hexdigest(self) -> str:
        """The hash so far."""
        return self.sum.hexdigest()


def fingerprint(table: Opened, files: Iterable[Path]) -> str:
    """The hash of a table and of the files that its rows name."""
    found = Fingerprint(table)
    for file in files:
        found.add(file)
    return found.hexdigest()
