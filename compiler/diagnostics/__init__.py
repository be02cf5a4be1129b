"""Diagnostics as data: codes, places, notes and advice."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import islice

Path = tuple[str | int, ...]
LONGEST = 60  # the most characters of a user's word in a message
MOST = 2000  # the most words that are searched for the nearest


class Status(IntEnum):
    """Exit statuses of the command line."""

    FINE = 0
    WRONG = 1
    USAGE = 2
    OURS = 3
    MACHINE = 4
    INTERRUPTED = 130


@dataclass(frozen=True)
class At:
    """A place in the spec: a path of keys, at the key or at its value."""

    path: Path
    label: str = ""
    on_key: bool = False


@dataclass(frozen=True)
class Span:
    """A place in a text file; lines and columns count from 1, `width` in characters."""

    file: str
    line: int
    column: int
    width: int = 1
    label: str = ""


@dataclass(frozen=True)
class Row:
    """A row of a data file, counted from 1 as an editor or a spreadsheet would; 0 means the whole file."""

    file: str
    number: int = 0
    label: str = ""


@dataclass(frozen=True)
class Diagnostic:
    """One error (E…) or warning (W…)."""

    code: str
    headline: str
    at: At | Span | Row | None = None
    also: tuple[At | Span | Row, ...] = ()
    notes: tuple[str, ...] = ()
    help: str = ""

    @property
    def is_error(self) -> bool:
        """Whether it is an error."""
        return self.code.startswith("E")


@dataclass
class Refused(Exception):
    """Raised where work can't continue; holds all diagnostics."""

    diagnostics: tuple[Diagnostic, ...]
    status: Status = Status.WRONG
    source: object | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return "; ".join(f"{d.code}: {d.headline}" for d in self.diagnostics)


def refuse(
    code: str,
    headline: str,
    *notes: str,
    at: At | Span | Row | None = None,
    help: str = "",
    status: Status = Status.WRONG,
) -> Refused:
    """The exception for one diagnostic, to be raised by the caller."""
    return Refused((Diagnostic(code, headline, at, (), notes, help),), status)


def nearest(word: object, known: Iterable[str]) -> str:
    """The advice for a misspelt word: the nearest known word if one is close, else "".

    >>> nearest("lroa", ["lora", "full"])
    'did you mean `lora`?'
    >>> nearest("FP32", ["fp32", "fp16"])
    'did you mean `fp32`?'
    """
    if len(str(word)) > LONGEST:
        return ""
    plain = {str(name).casefold(): name for name in islice(known, MOST) if name != word}
    close = difflib.get_close_matches(str(word).casefold(), plain, n=1, cutoff=0.6)
    return f"did you mean {quote(plain[close[0]])}?" if close else ""


def clean(word: object) -> str:
    """A user's word as a message shows it: on one line, without control characters, cut when long.

    >>> clean("two\\nlines"), clean("a" * 100) == "a" * 59 + "…"
    ('two\\\\nlines', True)
    """
    text = str(word)
    return escaped(text if len(text) <= LONGEST else text[: LONGEST - 1] + "…")


def escaped(text: str) -> str:
    """Text on one line, in which whatever could rewrite a terminal stands as an escape.

    >>> escaped("a\\x1b[2J\\n")
    'a\\\\x1b[2J\\\\n'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def quote(word: object) -> str:
    """A user's word in backticks, cleaned."""
    return f"`{clean(word)}`"


def listed(words: Iterable[str], most: int = 12) -> str:
    """Sorted names joined by commas, at most `most` of them.

    >>> listed(["b", "a"])
    'a, b'
    """
    every = sorted(words)
    tail = f", … {len(every) - most} more" if len(every) > most else ""
    return ", ".join(map(clean, every[:most])) + tail
