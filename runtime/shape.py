"""Compares JSON values with an expected shape."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

ANY = "*"  # every key of an object
FILE = "file"  # the name of a file in the bundle's own folder
SIDE = "side"  # a side of an array: its name, or how long it is
LONGEST = 1 << 24  # a side is shorter
NUMBER = (int, float)


@dataclass(frozen=True)
class UpTo:
    """A number from 0 to `most`."""

    most: float


_WORDS = {
    str: "text",
    int: "a whole number",
    bool: "true or false",
    NUMBER: "a number",
    dict: "an object",
    list: "a list",
}


def wrong(value: Any, shape: Any, where: str = "") -> Iterator[str]:
    """One sentence for each difference.

    A shape is a type, NUMBER (a finite number), UpTo, FILE, SIDE, a range of whole numbers, a frozenset of words, a list
    of one shape, `(None, shape)` for a shape or null, or a dict of shapes by key. `object` is anything but a number that
    is unusable. In a dict, ANY stands for every key, and `?` begins keys that may be absent.

    >>> list(wrong({"a": 1, "b": [1, "x"]}, {"a": str, "b": [int], "?c": int}))
    ['`a` is not text', '`b.1` is not a whole number']
    """
    if isinstance(shape, tuple) and shape[0] is None:
        if value is not None:
            yield from wrong(value, shape[1], where)
    elif isinstance(shape, dict):
        yield from _object(value, shape, where)
    elif isinstance(shape, list):
        if not isinstance(value, list):
            yield f"`{where}` is not a list"
        else:
            for i, item in enumerate(value):
                yield from wrong(item, shape[0], f"{where}.{i}")
    elif shape == FILE:
        if not isinstance(value, str) or not value or value.startswith(".") or set(value) & set("/\\\0"):
            yield f"`{where}` is not the name of a file in the bundle"
    elif shape == SIDE:
        if not isinstance(value, str) and (type(value) is not int or not 0 <= value < LONGEST):
            yield f"`{where}` is not a side of an array"
    elif isinstance(shape, frozenset):
        if not isinstance(value, str) or value not in shape:
            yield f"`{where}` is not one of {', '.join(sorted(shape))}"
    elif isinstance(shape, range):
        if type(value) is not int or value not in shape:
            yield f"`{where}` is not a whole number from {shape.start} to {shape.stop - 1}"
    elif isinstance(shape, UpTo):
        if list(wrong(value, NUMBER)) or not 0 <= value <= shape.most:
            yield f"`{where}` is not a number from 0 to {shape.most:g}"
    elif shape is object:
        if _is_huge(value):
            yield f"`{where}` is not a number that can be used"
    elif not isinstance(value, shape) or (isinstance(value, bool) and shape is not bool) or _is_huge(value):
        yield f"`{where}` is not {_WORDS[shape]}"


def _is_huge(value: Any) -> bool:
    """Whether a number is unusable: beyond 64 bits, infinite, or NaN."""
    return not math.isfinite(value) if isinstance(value, float) else isinstance(value, int) and abs(value) >= 1 << 63


def _object(value: Any, shape: dict[str, Any], where: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"`{where}` is not an object" if where else "it is not an object"
        return
    for key, inner in shape.items():
        word = key.removeprefix("?")
        if key == ANY:
            for name, item in value.items():
                yield from wrong(item, inner, f"{where}.{name}".lstrip("."))
        elif word in value:
            yield from wrong(value[word], inner, f"{where}.{word}".lstrip("."))
        elif word == key:
            yield f"`{where}.{word}`".replace("`.", "`") + " is missing"
