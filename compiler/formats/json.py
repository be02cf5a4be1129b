"""A JSON document that is a list of objects, or an object whose `data` is such a list.

An object with `paragraphs` that have a `context` and `qas` is an article of SQuAD; each of its questions is a row.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from ..contracts.format import Format
from . import Malformed, Told, stop
from ._lines import not_utf8
from ._questions import is_article, questions
from ._strict import explain, problem, scan

CHUNK = 1 << 20  # bytes read at a time
LONGEST = 64 << 20  # the most characters of one row
_NEAR = 12  # an error this close to the window's end may be a cut token: `-Infinity`, `\ud83d`
_SPACE = re.compile(r"[ \t\r\n]*")
_VALUES = {
    "[": "a list",
    '"': "a string",
    "n": "null",
    "t": "true",
    "f": "false",
    "N": "NaN",
    "I": "Infinity",
}
_STARTS = tuple('["ntf-0123456789')  # first characters of values that are no objects


def rows(path: Path, told: Told = stop) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields each object of the list under its place from 1, with one window of text in memory.

    Questions of articles are numbered by their place among all questions.
    """
    with path.open("rb") as file:
        window = _Window(file)
        first = window.take()
        if first == "[":
            yield from _items(window, told)
        elif first == "{":
            yield from _data(window, told)
        elif first:
            raise window.malformed("a JSON file must hold a list of objects")
        else:
            raise Malformed(0, "the file is empty")
        window.row = 0
        if window.peek():
            raise window.malformed("something follows the end; one object per line is `format: jsonl`")


def _items(window: _Window, told: Told) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows up to the closing bracket of the list."""
    if window.peek() == "]":
        window.take()
        return
    mark, number = ",", 0
    while mark == ",":
        window.row += 1
        for row in _rows(window):
            number += 1
            if isinstance(row, Malformed):
                row.row = number
                told(row)
            else:
                yield number, row
        mark = window.take()
    if mark != "]":
        raise window.malformed("invalid JSON: Expecting ',' or ']' after the object")


def _rows(window: _Window) -> Iterator[dict[str, Any] | Malformed]:
    """The rows of the next value of the list: the value itself, or the questions of an article."""
    if window.peek() != "{":
        error = window.malformed(_not_an_object(window.peek()))
        if window.peek() not in _STARTS:
            raise error
        window.skip()
        yield error
        return
    try:
        value = window.value()
    except _Unsound as error:
        yield error
        return
    if not is_article(value):
        yield value
        return
    for question in questions(value):
        yield window.malformed(question) if isinstance(question, str) else question


def _data(window: _Window, told: Told) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of the list `data`; other keys are skipped."""
    seen = False
    mark = "," if window.peek() != "}" else window.take()
    while mark == ",":
        window.row = 0
        key = window.value() if window.peek() == '"' else None
        if key is None or window.take() != ":":
            raise window.malformed("invalid JSON: Expecting a key in double quotes, then a colon")
        if key != "data":
            window.peek()
            window.value()
        elif seen or window.take() != "[":
            raise window.malformed("`data` stands there twice" if seen else "`data` must be a list of objects")
        else:
            seen = True
            yield from _items(window, told)
        mark = window.take()
    if mark != "}":
        raise window.malformed("invalid JSON: Expecting ',' or '}'")
    if not seen:
        raise Malformed(0, 'an object without a list "data"; one object per line is `format: jsonl`')


class _Unsound(Malformed):
    """A faulty row after which reading can continue."""


def _not_an_object(first: str) -> str:
    if not first:
        return "invalid JSON: the list is cut off"
    if first == "]":
        return "invalid JSON: a comma before the end of the list"
    kind = _VALUES.get(first, "a number" if first in "-0123456789" else f"`{first}`")
    return f"a row must be an object, not {kind}"


class _Window:
    """The part of a document that is in memory; grows at its end and drops what was read."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self.text = ""
        self.at = 0
        self.lines = 0  # line feeds before the window
        self.counted = (0, 0)  # (place in the window, line feeds before it)
        self.row = 0  # number of the current row, for messages
        self.damage = ""  # why nothing can be read after the window; empty for no damage
        self.is_whole = False

    def malformed(self, reason: str, place: int | None = None) -> Malformed:
        """The exception for an error at `place`, by default the current place."""
        return Malformed(self.row, f"{reason} (line {self._line(self.at if place is None else place)})")

    def _line(self, place: int) -> int:
        """The line of a place in the window, counted from the last place asked for, because many rows may be wrong."""
        at, lines = self.counted
        self.counted = (
            place,
            lines + self.text.count("\n", at, place) if place >= at else self.text.count("\n", 0, place),
        )
        return self.lines + self.counted[1] + 1

    def more(self) -> bool:
        """Reads more of the file; False at its end, where nothing changes."""
        new = ""
        while not new:
            if self.damage:
                raise self.malformed(self.damage, len(self.text))
            if self.is_whole:
                return False
            new = self._read()
        self.lines += self.text.count("\n", 0, self.at)
        self.text, self.at, self.counted = self.text[self.at :] + new, 0, (0, 0)
        return True

    def _read(self) -> str:
        rest = len(self.text) - self.at
        if rest > LONGEST:
            raise self.malformed(f"a row longer than {LONGEST >> 20} Mi characters")
        # doubles the window, because a value that does not fit is read again from its start
        raw = self.file.read(max(CHUNK, rest))
        self.is_whole = not raw
        try:
            return self.decoder.decode(raw, final=self.is_whole)
        except UnicodeDecodeError as error:
            # text before the damage is read first, so that the message names the right row
            self.damage = not_utf8(error)
            return error.object[: error.start].decode()

    def peek(self) -> str:
        """The next character that is not white space, "" at the end; moves to it."""
        while True:
            self.at = _SPACE.match(self.text, self.at).end()  # type: ignore[union-attr]  # matches nothing at least
            if self.at < len(self.text):
                return self.text[self.at]
            if not self.more():
                return ""

    def take(self) -> str:
        """The next character that is not white space; moves past it."""
        character = self.peek()
        self.at += len(character)
        return character

    def value(self) -> Any:
        """The value at the current place; inside the list it must be a valid row."""
        while True:
            try:
                value, end = scan(self.text, self.at)
            except StopIteration as stop:
                reason, place = "invalid JSON: Expecting value", int(stop.value)
            except json.JSONDecodeError as error:
                reason, place = explain(error), error.pos
            except (ValueError, RecursionError) as error:
                raise self.malformed(explain(error)) from None
            else:
                may_go_on = isinstance(value, int | float) and end + _NEAR >= len(self.text)  # `1`, `1.`, `1e+`
                if not may_go_on or not self.more():
                    return self._checked(value, end)
                continue
            is_cut = "Unterminated string" in reason or place + _NEAR >= len(self.text)
            if not is_cut or not self.more():
                raise self.malformed(reason, place)

    def skip(self) -> None:
        """Moves past a value that is no row."""
        row, self.row = self.row, 0
        self.value()
        self.row = row

    def _checked(self, value: Any, end: int) -> Any:
        if self.row and (reason := problem(value, self.text, self.at, end)):
            error = self.malformed(reason)
            self.at = end
            raise _Unsound(error.row, error.reason)
        self.at = end
        return value


FORMAT = Format(suffixes=(".json",), rows=rows)
