"""JSON Lines: one object in each line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..contracts.format import Format
from . import Malformed, Told, stop
from ._lines import decoded, raw_lines
from ._strict import explain, problem, quickly, scan

_SPACE = " \t\r\n"


def rows(path: Path, told: Told = stop) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields the object of each line that is not blank, under the line's number."""
    for number, raw in raw_lines(path, is_json=True):
        row = quickly(raw)
        if row is None:
            try:
                text = decoded(number, raw).strip(_SPACE)
                row = _object(number, text) if text else None
            except Malformed as error:
                told(error)
        if row is not None:
            yield number, row


def _object(number: int, text: str) -> dict[str, Any]:
    try:
        value, end = scan(text, 0)
    except StopIteration as stop:
        raise Malformed(number, f"invalid JSON: Expecting value (character {stop.value + 1})") from None
    except json.JSONDecodeError as error:
        raise Malformed(number, f"{explain(error)} (character {error.pos + 1})") from None
    except (ValueError, RecursionError) as error:
        raise Malformed(number, explain(error)) from None
    if end != len(text):
        raise Malformed(number, f"invalid JSON: something follows the object (character {end + 1})")
    if reason := problem(value, text, 0, end):
        raise Malformed(number, reason)
    return value


FORMAT = Format(suffixes=(".jsonl", ".ndjson"), rows=rows)
