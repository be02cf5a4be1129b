"""Reads lists that are written as text in a cell: JSON, or Python's form."""

from __future__ import annotations

import ast
import json
import re
from functools import lru_cache
from typing import Any

_ITEM = r"""(?:'(?:[^'\\]|\\.)*+'|"(?:[^"\\]|\\.)*+"|[+-]?\d++(?:\.\d*+)?|True|False)"""
LONGEST = 1 << 20  # the most characters of a list in Python's form, whose parser takes a hundred times the memory
_ENDS = {"[": "]", "(": ")", "{": "}"}
# commas between items are required: Python reads 'a' 'b', numpy's form of two items, as one text
# possessive quantifiers (`*+`) prevent backtracking, so that nearly-lists are rejected quickly
_PYTHON = re.compile(rf"[\[({{]\s*+(?:{_ITEM}\s*+(?:,\s*+{_ITEM}\s*+)*+(?:,\s*+)?)?[\])}}]")
_CODE = re.compile(r"\w+\(.*\)", re.DOTALL)  # array([…]), frozenset({…})
_INSIDE = re.compile(r"[\s,'\"]")


@lru_cache(maxsize=1 << 14)  # most rows share few lists
def listed(text: str) -> tuple[Any, ...] | None:
    """The items of a list in text form: texts, numbers, true and false; None for other texts.

    >>> listed("['a', 'b']"), listed('["a"]'), listed("['a' 'b']"), listed("a, b")
    (('a', 'b'), ('a',), None, None)
    """
    plain = text.strip()
    if plain == "set()":
        return ()
    if not plain or _ENDS.get(plain[0]) != plain[-1]:
        return None
    if plain[0] == "[":
        try:
            found = json.loads(plain)
        except (ValueError, RecursionError):
            pass
        else:
            return tuple(found)
    if plain == "{}" or len(plain) > LONGEST or not _PYTHON.fullmatch(plain):
        return None
    try:
        return tuple(ast.literal_eval(plain))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None  # (1) is a number


def is_like_a_list(text: str) -> bool:
    """Whether a text that `listed` can't read was meant as a list: `[0 1 0]`, `['a' 'b']`, `[a, b]`, `array([1])`."""
    plain = text.strip()
    if not plain:
        return False
    is_closed = _ENDS.get(plain[0]) == plain[-1] and plain[0] != "("
    return bool((is_closed and _INSIDE.search(plain[1:-1].strip())) or (_CODE.fullmatch(plain) and "[" in plain))
