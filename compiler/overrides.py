"""Applies `--set key=value` to a source, with the flag itself as the place of what it says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from .diagnostics import Span, refuse
from .diagnostics import Status as Status
from .source import Source, parse_text

# a map that names its variant again with another word replaces the whole map
TAGS = ("method", "type", "objective", "from")


def override(source: Source, sets: Sequence[str]) -> Source:
    """The source with every `key=value` merged in; raises Refused E0211 for a flag of another shape."""
    for flag in sets:
        source = _apply(source, flag)
    return source


def _apply(source: Source, flag: str) -> Source:
    key, equals, text = flag.partition("=")
    shown = f"--set {flag}"
    steps = tuple(key.split("."))
    if not equals or not all(steps):
        raise refuse(
            "E0211",
            f"`{shown}` is not key=value",
            at=Span(shown, 1, 1),
            help="for example `--set train.epochs=1`",
            status=Status.USAGE,
        )
    value = parse_text(f"value: {text}\n" if text else "value:\n", shown, Path()).data["value"]
    data = _set(source.data, steps, value)
    span = Span(shown, 1, len("--set ") + 1, len(flag))
    spans = dict.fromkeys(_paths(value, steps), span) if value is not None else {}
    kept = {path: at for path, at in source.values.items() if path[: len(steps)] != steps}
    keys = {path: at for path, at in source.keys.items() if path[: len(steps)] != steps}
    return replace(source, data=data, values=kept | spans, keys=keys | spans)


def _paths(value: Any, path: tuple[str | int, ...]) -> list[tuple[str | int, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, tuple) else ()
    return [path, *(deep for step, item in inner for deep in _paths(item, (*path, step)))]


def _set(data: Any, steps: tuple[str, ...], value: Any) -> Any:
    if not steps:
        return value
    base = data if isinstance(data, dict) else {}
    if steps[0] in TAGS and len(steps) == 1 and base.get(steps[0]) != value:
        base = {}
    result = dict(base)
    new = _set(base.get(steps[0]), steps[1:], value)
    if new is None:
        result.pop(steps[0], None)
    else:
        result[steps[0]] = new
    return result
