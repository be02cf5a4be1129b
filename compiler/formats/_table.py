"""Reads tables of delimited text: a header, then rows of cells."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import Malformed, Told, stop
from ._lines import decoded, raw_lines

if TYPE_CHECKING:
    from _csv import Reader

MARKS = {",": "commas", "\t": "tabs", ";": "semicolons"}  # delimiters and their names
# the most characters of a cell: csv's default of 128 KiB refuses long documents, no limit allows the whole file
LONGEST = 16 << 20
WIDEST = 16_384  # the most columns, as in a spreadsheet
SHOWN = 40  # the most characters of a cell in a message
_SEPARATOR = re.compile(r'"?sep=([,;\t|])"?\s*')  # a first line that names the delimiter for spreadsheets


def table(path: Path, delimiter: str, told: Told = stop) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields each row under the number of its first line; an empty cell is None.

    Rows of empty cells are skipped, and so are columns without a name and without values.
    """
    csv.field_size_limit(max(csv.field_size_limit(), LONGEST))
    damaged: list[Malformed] = []  # undecodable lines of the current row
    delimiter, before, lines = _begun(_text(path, damaged), delimiter)
    # strict, because the lenient reader silently joins cells at a stray quote
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    cells = _cells(reader, before, damaged, told)
    line, names = next(cells, (0, []))
    _check_header(line, names, delimiter)
    fitting = _Fitting(names, delimiter)
    for line, values in cells:
        if not values[0] and not any(values):
            continue
        if fitting.is_needed or len(values) != len(names):
            try:
                yield line, fitting.row(line, values)
            except Malformed as error:
                told(error)
        else:
            yield line, {name: value or None for name, value in zip(names, values, strict=True)}


def _text(path: Path, damaged: list[Malformed]) -> Iterator[str]:
    """The lines of a file; undecodable lines are added to `damaged` and yielded as far as they can be read."""
    for number, raw in raw_lines(path):
        try:
            line = decoded(number, raw)
        except Malformed as error:
            damaged.append(error)
            line = raw.decode(errors="replace").replace("\0", "")
        yield line


def _begun(lines: Iterator[str], delimiter: str) -> tuple[str, int, Iterator[str]]:
    """(delimiter by the first lines, number of lines before the table, the table's lines)."""
    first: list[str] = []
    for line in lines:
        first.append(line)
        if line.strip():
            break
    head = first[-1] if first else ""
    if said := _SEPARATOR.fullmatch(head):
        return said[1], len(first), lines
    if delimiter == "," and "," not in head:
        others = [mark for mark in MARKS if mark in head]
        delimiter = others[0] if len(others) == 1 else delimiter
    return delimiter, 0, chain(first, lines)


def _cells(reader: Reader, before: int, damaged: list[Malformed], told: Told) -> Iterator[tuple[int, list[str]]]:
    while True:
        line = before + reader.line_num + 1
        try:
            values = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            wrong = Malformed(line, _reason(str(error)))
            if before + reader.line_num > line or str(error).startswith("field larger"):
                raise wrong from None  # it is unknown which of these lines are rows
            told(wrong)
            damaged.clear()
            continue
        if damaged:
            told(damaged[0])
            damaged.clear()
        elif values:
            yield line, values


def _check_header(line: int, names: list[str], delimiter: str) -> None:
    if not names:
        raise Malformed(0, "the file is empty: its first line must name the columns")
    if not any(map(str.strip, names)):
        raise Malformed(line, "the header names no column", "its first line must name the columns")
    if len(names) > WIDEST:
        raise Malformed(line, f"the header names {len(names):,} columns; at most {WIDEST:,} are read")
    other = next((mark for mark in MARKS if mark != delimiter and len(names) == 1 and mark in names[0]), "")
    if other:
        reason = f"its cells stand between {MARKS[other]}, and here {MARKS[delimiter]} would be read"
        raise Malformed(line, reason, "write `{from: …, format: csv}`, or save it anew with tabs between the cells")
    twice = [name for name, count in Counter(names).items() if count > 1 and name.strip()]
    if twice:
        raise Malformed(line, "the header names a column twice: " + ", ".join(f"`{name}`" for name in twice))


class _Fitting:
    """Assigns the cells of a row to the names of a header, where numbers differ or columns have no name."""

    def __init__(self, names: Sequence[str], delimiter: str) -> None:
        self.names, self.delimiter = names, delimiter
        # a first column without a name is the index that pandas writes
        self.unnamed = [i for i, name in enumerate(names) if not name.strip() and i]
        self.is_padded = any(name[:1] == " " and name.strip() for name in names)
        self.is_needed = bool(self.is_padded or not all(map(str.strip, names)))

    def row(self, line: int, values: list[str]) -> dict[str, Any]:
        """The row; raises Malformed where a cell would be lost or is missing."""
        names, missing = self.names, self.names[len(values) :]
        if self.is_padded and any(value[:2] == ' "' for value in values):
            raise Malformed(
                line, "a blank stands before a quote", f"take the blanks after the {MARKS[self.delimiter]} out"
            )
        if any(map(str.strip, values[len(names) :])) or any(map(str.strip, missing)):
            reason = f"{_count(values, 'cell')}, but the header names {_count(names, 'column')}"
            raise Malformed(line, reason, self._way(len(values) > len(names)))
        for i in self.unnamed:
            if i < len(values) and values[i].strip():
                reason = f"cell {i + 1} is `{values[i][:SHOWN]}`, and the header names no column there"
                raise Malformed(line, reason, self._way(True))
        return {name: value or None for name, value in zip(names, values, strict=False) if name.strip()}

    def _way(self, is_longer: bool) -> str:
        if len(self.names) == 1 and self.names[0].startswith("#"):
            return "take the first line out: it is a comment, and it must name the columns"
        return f"put quotes around a cell that holds {MARKS.get(self.delimiter, 'such marks')}" if is_longer else ""


def _reason(error: str) -> str:
    if error.startswith("new-line character"):  # csv's message continues with advice for programmers
        return "a carriage return inside a cell without quotes"
    if error.startswith("unexpected end"):
        return "a quote that opens here is never closed"
    if error.startswith("field larger"):
        return f"a cell longer than {LONGEST >> 20} Mi characters; is a quote left open?"
    return f"{error.replace(chr(9), 'tab')}; a quote inside a quoted cell is written twice"


def _count(items: Sequence[str], noun: str) -> str:
    return f"{len(items)} {noun}" + ("s" if len(items) != 1 else "")
