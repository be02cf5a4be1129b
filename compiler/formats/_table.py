"""Reads tables of delimited text: a header, then one row of cells after another."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import Malformed
from ._lines import lines

if TYPE_CHECKING:
    from _csv import Reader

MARKS = {",": "commas", "\t": "tabs", ";": "semicolons"}  # what programs put between cells
LONGEST = 16 << 20  # characters of one cell; csv's own 128 KiB refuses long documents, none would swallow the file


def table(path: Path, delimiter: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields each row under the number of the line on which it starts; an empty cell is None."""
    csv.field_size_limit(max(csv.field_size_limit(), LONGEST))
    # strict: a stray quote is an error here, where the lenient reader would join cells without a word
    reader = csv.reader((line for _, line in lines(path)), delimiter=delimiter, strict=True)
    cells = _cells(reader)
    line, names = next(cells, (0, []))
    _check_header(line, names, delimiter)
    for line, values in cells:
        if len(values) != len(names):
            reason = f"{_count(values, 'cell')}, but the header names {_count(names, 'column')}"
            help = f"put quotes around a cell that holds {MARKS[delimiter]}" if len(values) > len(names) else ""
            raise Malformed(line, reason, help)
        yield line, {name: value or None for name, value in zip(names, values, strict=True)}


def _cells(reader: Reader) -> Iterator[tuple[int, list[str]]]:
    while True:
        line = reader.line_num + 1
        try:
            values = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise Malformed(line, _reason(str(error))) from None
        if values:
            yield line, values


def _check_header(line: int, names: list[str], delimiter: str) -> None:
    if not names:
        raise Malformed(0, "the file is empty: its first line must name the columns")
    other = next((mark for mark in MARKS if mark != delimiter and len(names) == 1 and mark in names[0]), "")
    if other:
        reason = f"its cells stand between {MARKS[other]}, and here {MARKS[delimiter]} would be read"
        format = {"\t": "tsv", ",": "csv"}.get(other)
        help = f"write `{{from: …, format: {format}}}`" if format else "save it anew with commas between the cells"
        raise Malformed(line, reason, help)
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise Malformed(line, "the header names a column twice: " + ", ".join(f"`{name}`" for name in twice))


def _reason(error: str) -> str:
    if error.startswith("new-line character"):  # csv goes on with advice to the programmer
        return "a carriage return inside a cell without quotes"
    if error.startswith("unexpected end"):
        return "a quote that opens here is never closed"
    if error.startswith("field larger"):
        return f"a cell longer than {LONGEST >> 20} Mi characters; is a quote left open?"
    return f"{error.replace(chr(9), 'tab')}; a quote inside a quoted cell is written twice"


def _count(items: list[str], noun: str) -> str:
    return f"{len(items)} {noun}" + ("s" if len(items) != 1 else "")
