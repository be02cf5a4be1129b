"""Texts for a terminal, in which nothing controls it."""

from __future__ import annotations

import json
import unicodedata

DIRECTIONS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")  # they turn what stands around them


def printable(text: str) -> str:
    r"""JSON text with every character that could control a terminal escaped.

    >>> printable('"\\u202e"') == '"' + chr(92) + 'u202e"'
    True
    """
    return "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)


def shown(text: str) -> str:
    r"""A text to be read: line feeds and the joints of emoji stay, what could control a terminal is escaped.

    >>> shown("a\n\x1b[2J") == "a\n" + chr(92) + "x1b[2J"
    True
    """
    return "".join(c.encode("unicode_escape").decode() if _controls(c) else c for c in text)


def _controls(character: str) -> bool:
    kind = unicodedata.category(character)
    return character in DIRECTIONS or kind == "Cs" or (kind == "Cc" and character not in "\n\t")
