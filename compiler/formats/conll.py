"""Words and their tags in columns, one word in a line, a blank line between sentences: CoNLL-2003 and the like.

Columns are separated by tabs if the first word's line has one, else by blanks. The first column is the word, the last
one the tag. With four columns, as in CoNLL-2003, all are named. Lines with `-DOCSTART-` and comments are skipped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..contracts.format import Format
from . import Malformed, Told, stop
from ._lines import lines

DOCUMENT = "-DOCSTART-"
_TAG = re.compile(r"O|[A-Z]-\S+")
_NAMES = {4: ("tokens", "pos_tags", "chunk_tags", "ner_tags")}  # CoNLL-2003's names on the Hub


def rows(path: Path, told: Told = stop) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields each sentence, as lists `tokens` and `tags`, under the number of its first line."""
    reading = _Reading(told)
    for number, line in lines(path, reading.damaged):
        yield from reading.line(number, line.rstrip("\r\n"))
    yield from reading.end()


class _Reading:
    """The sentence being read, and the file's column layout."""

    def __init__(self, told: Told) -> None:
        self.told = told
        self.mark: str | None = None  # the separator of columns; None for blanks
        self.width = 0  # number of columns of every line
        self.start = 0
        self.words: list[list[str]] = []
        self.wrong: Malformed | None = None

    def line(self, number: int, line: str) -> Iterator[tuple[int, dict[str, Any]]]:
        """Reads a line; yields the sentence that it ends."""
        if not line.strip():
            yield from self.end()
            return
        if not self.width:
            self.mark = "\t" if "\t" in line else None
        cells = line.rstrip(" ").split(self.mark)
        if cells[0] == DOCUMENT or (line.startswith("#") and not self.words and not self._is_word(cells)):
            return
        self.start = self.start or number
        self._take(number, cells)

    def _is_word(self, cells: list[str]) -> bool:
        """Whether a line that starts with `#` is a word with its tag."""
        return len(cells) == (self.width or len(cells)) > 1 and bool(_TAG.fullmatch(cells[-1]))

    def _take(self, number: int, cells: list[str]) -> None:
        self.width = self.width or len(cells)
        reason = ""
        if len(cells) != self.width:
            reason = f"{len(cells)} column{'s' * (len(cells) != 1)}, and the lines before have {self.width}"
        elif len(cells) == 1:
            raise Malformed(number, "one column only: a word and its tag stand in columns between blanks or tabs")
        elif not all(map(str.strip, (cells[0], cells[-1]))):
            reason = "a word or its tag is empty"
        if reason and not self.wrong:
            self.wrong = Malformed(number, reason, "mend the line; a blank line stands between sentences")
        self.words.append(cells)

    def damaged(self, error: Malformed) -> None:
        """Marks the sentence of an undecodable line as unusable."""
        self.start = self.start or error.row
        self.wrong = self.wrong or error

    def end(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yields the sentence so far, if there is one."""
        start, words, wrong = self.start, self.words, self.wrong
        self.start, self.words, self.wrong = 0, [], None
        if wrong:
            self.told(wrong)
        elif words:
            columns = [list(column) for column in zip(*words, strict=True)]
            names = _NAMES.get(self.width, ())
            yield (
                start,
                {**dict(zip(names, columns, strict=True) if names else ()), "tokens": columns[0], "tags": columns[-1]},
            )


FORMAT = Format(
    suffixes=(".conll", ".bio", ".iob", ".iob2"),
    columns=("tokens", "tags", "pos_tags", "chunk_tags", "ner_tags"),
    rows=rows,
)
