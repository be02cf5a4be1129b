"""Reads lists that stand in a text, as cells of a table hold them: those of JSON, and those that Python prints."""

from __future__ import annotations

import ast
import json
import re
from functools import lru_cache
from typing import Any

_ITEM = r"""(?:'(?:[^'\\]|\\.)*+'|"(?:[^"\\]|\\.)*+"|[+-]?\d++(?:\.\d*+)?|True|False)"""
LONGEST = 1 << 20  # characters of a list as Python prints it: its parser takes a hundred times the memory
_ENDS = {"[": "]", "(": ")", "{": "}"}
# a comma between every two items: Python reads 'a' 'b' as one text, and so numpy prints two
# what was read is never read otherwise (`*+`): a cell that is nearly a list takes no longer than one that is
_PYTHON = re.compile(rf"[\[({{]\s*+(?:{_ITEM}\s*+(?:,\s*+{_ITEM}\s*+)*+(?:,\s*+)?)?[\])}}]")
_CODE = re.compile(r"\w+\(.*\)", re.DOTALL)  # array([…]), frozenset({…})
_INSIDE = re.compile(r"[\s,'\"]")


@lru_cache(maxsize=1 << 14)  # few lists stand in most rows
def listed(text: str) -> tuple[Any, ...] | None:
    """The items of the list that a text is: texts, numbers, true and false; None where it is none.

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
    """Whether a text that `listed` can't read was meant to be a list: `[0 1 0]`, `['a' 'b']`, `[a, b]`, `array([1])`."""
    plain = text.strip()
    if not plain:
        return False
    is_closed = _ENDS.get(plain[0]) == plain[-1] and plain[0] != "("
    return bool((is_closed and _INSIDE.search(plain[1:-1].strip())) or (_CODE.fullmatch(plain) and "[" in plain))
