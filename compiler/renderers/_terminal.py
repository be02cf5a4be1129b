"""What a terminal can show: its width, whether it has colours; and text made to fit."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TextIO
from unicodedata import combining, east_asian_width

import click

NARROWEST = 20  # columns; a terminal that says it has fewer is not believed
WIDEST = 160  # characters of a quoted line where no width is known


@dataclass(frozen=True)
class Terminal:
    """Where text goes; without a width, as in a pipe, nothing is wrapped."""

    width: int | None = None
    has_colours: bool = False

    def style(self, text: str, colour: str | None = None) -> str:
        """The text in bold, and in a colour where one is named; as it is where there are none."""
        return click.style(text, fg=colour, bold=True) if self.has_colours and text else text

    def wrapped(self, text: str, first: str, rest: str) -> str:
        """A line after `first`; what does not fit goes on in lines after `rest`."""
        if self.width is None:
            return first + text
        lines, start = [first], first
        for word in text.split(" "):
            grown = lines[-1] + word if lines[-1] == start else f"{lines[-1]} {word}"
            if columns(grown) <= self.width or lines[-1] == start:
                lines[-1] = grown
            else:
                start = rest
                lines.append(rest + word)
        return "\n".join(lines)

    def quotable(self, gutter: int, line: str) -> int:
        """How many characters of a line can be quoted beside a gutter of that width."""
        if self.width is None:
            return WIDEST
        room = max(self.width, NARROWEST) - gutter - 3
        return room if columns(line) <= len(line) else room // 2


def terminal_of(stream: TextIO) -> Terminal:
    """What a stream is now.

    `NO_COLOR` comes before `FORCE_COLOR` and `CLICOLOR_FORCE`, these before what the terminal says of itself.
    """
    is_terminal = stream.isatty()
    width = max(_width(stream), NARROWEST) if is_terminal else None
    if os.environ.get("NO_COLOR"):
        return Terminal(width)
    is_forced = any(os.environ.get(name, "") not in ("", "0") for name in ("FORCE_COLOR", "CLICOLOR_FORCE"))
    return Terminal(width, is_forced or (is_terminal and os.environ.get("TERM") != "dumb"))


def _width(stream: TextIO) -> int:
    """The columns of a stream's terminal, or what `COLUMNS` says they are."""
    said = os.environ.get("COLUMNS", "")
    if re.fullmatch(r"[1-9][0-9]{0,4}", said):
        return int(said)
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except OSError:
        return 80


def columns(text: str) -> int:
    """How many columns of a terminal a text takes.

    >>> columns("ab"), columns("本文")
    (2, 4)
    """
    return sum(0 if combining(c) else 2 if east_asian_width(c) in "WF" else 1 for c in text)
