"""SQLite databases that hold one table."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from ..contracts.format import Format
from . import Malformed, Told, stop

MAGIC = b"SQLite format 3\0"
TABLES = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite~_%' ESCAPE '~'"


class _Text(bytes):
    """The bytes of a text, which SQLite does not check."""


def rows(path: Path, told: Told = stop) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields each row under its place in the table, from 1."""
    with path.open("rb") as file:  # opened here, so that a file that can't be opened is not taken for a damaged one
        if file.read(len(MAGIC)) != MAGIC:
            raise Malformed(0, "it does not begin as a SQLite database does")
    if (journal := path.with_name(f"{path.name}-wal")).exists():
        raise Malformed(0, f"rows may lie beside it, in {journal.name}", "close the program that writes it")
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as database:
        database.text_factory = _Text
        try:
            _check(database)
            yield from _rows(database, told)
        except sqlite3.DatabaseError as error:
            raise Malformed(0, f"the database is damaged: {error}") from None


def _check(database: sqlite3.Connection) -> None:
    """Raises DatabaseError for a file that was cut within a page, of which SQLite would read zeros."""
    ((said,),) = database.execute("PRAGMA quick_check(1)")
    if said != b"ok":
        raise sqlite3.DatabaseError(said.decode(errors="replace").splitlines()[-1])


def _rows(database: sqlite3.Connection, told: Told) -> Iterator[tuple[int, dict[str, Any]]]:
    tables = [name.decode() for (name,) in database.execute(TABLES)]
    if len(tables) != 1:
        raise Malformed(0, f"it has {len(tables)} tables, and one is read", "export the one that is meant")
    quoted = '"' + tables[0].replace('"', '""') + '"'
    found = database.execute(f"SELECT * FROM {quoted}")
    names = [column[0] for column in found.description]
    for number, values in enumerate(found, 1):
        try:
            yield number, dict(zip(names, map(_cell, values), strict=True))
        except UnicodeDecodeError as error:
            told(Malformed(number, f"a text is not UTF-8: {error.reason}"))


def _cell(value: Any) -> Any:
    return value.decode() if isinstance(value, _Text) else value


FORMAT = Format(suffixes=(".sqlite", ".sqlite3", ".db"), is_table=True, rows=rows)
