"""Strict JSON: refuses what Python's reader accepts beyond the standard."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import orjson

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_KINDS = {
    str: "a string",
    bool: "true or false",
    int: "a number",
    float: "a number",
    list: "a list",
    type(None): "null",
}


def _refuse_constant(word: str) -> Any:
    raise ValueError(f"`{word}` is no JSON; write null")


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError(f"the number `{digits[:40]}` is too large")
    return number


def _unrepeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"the key `{twice}` stands there twice")
    return value


# (text, position) → (value, end)
# Raises StopIteration where a value should start, JSONDecodeError inside one, other ValueErrors for values
# that are refused, and RecursionError for bottomless nesting.
scan: Callable[[str, int], tuple[Any, int]] = json.JSONDecoder(  # type: ignore[attr-defined]  # stubs omit it
    parse_constant=_refuse_constant, parse_float=_finite, object_pairs_hook=_unrepeated
).scan_once


_EXACT = (str, int, bool, type(None))  # types that orjson reads as Python does
_WIDE = 2.0**63  # larger whole numbers become floats in orjson and may lose digits


def quickly(raw: bytes) -> dict[str, Any] | None:
    """The object in a line, read by orjson; None where only `scan` can tell the content or the error.

    orjson takes the last of several equal keys. Every key has its colon, so a line with as many colons as its object
    has keys repeats none, and neither do objects inside of it.
    """
    try:
        row = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    if type(row) is not dict or (raw.count(b":") != len(row) and not _has_keys(raw, len(row))):
        return None
    for value in row.values():
        kind = type(value)
        if kind is list:
            if any(type(item) not in _EXACT for item in value):
                return None
        elif kind is float and not -_WIDE < value < _WIDE:
            return None
    return row


def _has_keys(raw: bytes, count: int) -> bool:
    """Whether a line certainly has no more than `count` keys, even with colons in texts."""
    # written out, because a generator would cost more than reading the line
    return raw.count(b'":') == count and b" :" not in raw and b"\t:" not in raw and b"\r:" not in raw


def problem(value: Any, text: str, start: int, end: int) -> str:
    """Why a value written at `text[start:end]` is no valid row; "" for a valid one."""
    if not isinstance(value, dict):
        return f"a row must be an object, not {_KINDS[type(value)]}"
    if _SURROGATE.search(text, start, end):
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            return f"\\u{ord(error.object[error.start]):04x} is half of a character: the other half is missing"
    return ""


def explain(error: ValueError | RecursionError) -> str:
    """The message for a value that could not be read."""
    if isinstance(error, RecursionError):
        return "lists or objects are nested too deeply"
    if isinstance(error, json.JSONDecodeError):
        return f"invalid JSON: {error.msg}"
    return "a number has too many digits" if "integer string conversion" in str(error) else str(error)
