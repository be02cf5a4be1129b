"""Properties of a terminal, its width and colours, and text fitted to them."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TextIO
from unicodedata import combining, east_asian_width

import click

NARROWEST = 20  # columns; a terminal that reports fewer is taken to have these
WIDEST = 160  # characters of a quoted line where no width is known


@dataclass(frozen=True)
class Terminal:
    """The properties of an output stream; without a width, as for a pipe, nothing is wrapped."""

    width: int | None = None
    has_colours: bool = False

    def style(self, text: str, colour: str | None = None) -> str:
        """The text in bold and, if one is named, in a colour; unchanged where there are no colours."""
        return click.style(text, fg=colour, bold=True) if self.has_colours and text else text

    def wrapped(self, text: str, first: str, rest: str) -> str:
        """Text after `first`, wrapped to the width; further lines begin with `rest`."""
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
        """The number of characters of a line that fit beside a gutter of this width."""
        if self.width is None:
            return WIDEST
        room = max(self.width, NARROWEST) - gutter - 3
        return room if columns(line) <= len(line) else room // 2


def terminal_of(stream: TextIO) -> Terminal:
    """The properties of a stream.

    `NO_COLOR` overrides `FORCE_COLOR` and `CLICOLOR_FORCE`, which override the terminal's own properties.
    """
    is_terminal = stream.isatty()
    width = max(_width(stream), NARROWEST) if is_terminal else None
    if os.environ.get("NO_COLOR"):
        return Terminal(width)
    is_forced = any(os.environ.get(name, "") not in ("", "0") for name in ("FORCE_COLOR", "CLICOLOR_FORCE"))
    return Terminal(width, is_forced or (is_terminal and os.environ.get("TERM") != "dumb"))


def _width(stream: TextIO) -> int:
    """The width of a stream's terminal in columns; `COLUMNS` overrides it."""
    said = os.environ.get("COLUMNS", "")
    if re.fullmatch(r"[1-9][0-9]{0,4}", said):
        return int(said)
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except OSError:
        return 80


def columns(text: str) -> int:
    """The number of terminal columns of a text.

    >>> columns("ab"), columns("本文")
    (2, 4)
    """
    return sum(0 if combining(c) else 2 if east_asian_width(c) in "WF" else 1 for c in text)
