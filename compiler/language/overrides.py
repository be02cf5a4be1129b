"""Applies `--set key=value` to a source, with the flag itself as the place of what it says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..diagnostics import Diagnostic, Refused, Span, Status
from ..diagnostics import Path as Keys
from .source import DEEPEST, FLAGS, Source, parse_text

# a map that names its variant again with another word replaces the whole map
TAGS = ("method", "type", "objective", "from")
_BEFORE = "v: "  # makes a value a spec that can be read


def override(source: Source, sets: Sequence[str]) -> Source:
    """The source with every `key=value` merged in.

    Raises Refused with status 2: E0211 for a flag of another shape, E01xx for a value that is not YAML.
    """
    for flag in sets:
        source = _apply(replace(source, flags=(*source.flags, flag)), flag)
    return source


def _apply(source: Source, flag: str) -> Source:
    number = len(source.flags)
    key, equals, text = flag.partition("=")
    steps = tuple(key.split("."))
    if not equals or not all(steps) or len(steps) > DEEPEST or len(flag.splitlines()) != 1:
        at = Span(FLAGS, number, 1, len(flag), "not key=value")
        help = "for example `--set train.epochs=1`"
        found = Diagnostic("E0211", "a flag can't be read", at, help=help)
        raise Refused((found,), Status.USAGE, source)
    value = _value(source, text, number, len(key) + 1)
    data = _set(source.data, steps, value.data["v"])
    spans = {(*steps, *path[1:]): _moved(at, number, len(key) + 1) for path, at in value.values.items() if path}
    spans = spans if value.data["v"] is not None else {}
    kept = {path: at for path, at in source.values.items() if path[: len(steps)] != steps}
    keys = {path: at for path, at in source.keys.items() if path[: len(steps)] != steps}
    inner = {(*steps, *path[1:]): _moved(at, number, len(key) + 1) for path, at in value.keys.items() if path[1:]}
    own = {steps[: i + 1]: Span(FLAGS, number, 1, len(key)) for i in range(len(steps)) if steps[: i + 1] not in keys}
    return replace(source, data=data, values=own | kept | spans, keys=own | keys | inner)


def _value(source: Source, text: str, number: int, shift: int) -> Source:
    try:
        return parse_text(_BEFORE + text, FLAGS, Path(), "the value")
    except Refused as refused:
        moved = tuple(
            replace(d, at=_moved(d.at, number, shift) if isinstance(d.at, Span) else d.at, also=())
            for d in refused.diagnostics
        )
        raise Refused(moved, Status.USAGE, source) from None


def _moved(at: Span, number: int, shift: int) -> Span:
    """A place in the value as a place in the flag."""
    return replace(at, line=number, column=max(1, at.column - len(_BEFORE) + shift))


def _set(data: Any, steps: Keys, value: Any) -> Any:
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
