"""Applies `--set key=value` flags to a source; the flag itself is the place of its values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from .. import variants
from ..diagnostics import Diagnostic, Refused, Span, Status
from ..diagnostics import Path as Keys
from ..sources import split
from .compose import composed
from .keys import keys
from .places import is_path
from .spec import DEFAULTS, VARIANTS
from .text import DEEPEST, FLAGS, Source, parse_text

_BEFORE = "v: "  # put before a value, it makes the value a readable spec


def override(source: Source, sets: Sequence[str]) -> Source:
    """The source with every `key=value` merged in, in order, as a spec that extends it would do.

    Raises Refused with status 2: E0211 for a malformed flag, E01xx for a value that is not YAML.
    """
    for flag in sets:
        source = _apply(replace(source, flags=(*source.flags, flag)), flag)
    return replace(source, boundary=source.boundary.including(_named(source))) if sets else source


def _named(source: Source) -> Iterator[Path]:
    """The paths that flags name: the user typed them, so they may lie outside of the boundary."""
    for place, at in source.values.items():
        if at.file == FLAGS and is_path(place):
            value: Any = source.data
            for step in place:
                value = value[step]
            if isinstance(value, str):
                is_reference = place[-2:] == ("backbone", "from")
                yield source.folder / (split(value)[1] if is_reference else value)


def _apply(source: Source, flag: str) -> Source:
    number = len(source.flags)
    key, equals, text = flag.partition("=")
    steps = tuple(key.split("."))
    is_shaped = equals and all(steps) and len(steps) <= DEEPEST and len(flag.splitlines()) == 1
    wrong = "holds a line break" if len(flag.splitlines()) > 1 else "not key=value"
    if not is_shaped or key == "extends":
        label = "which files a spec extends is decided when it is read" if is_shaped else wrong
        at = Span(FLAGS, number, 1, len(key) if is_shaped else len(flag), label)
        is_meant = is_shaped or (equals and wrong != "not key=value")
        help = "write it into the spec" if is_meant else "for example `--set train.epochs=1`"
        raise Refused((Diagnostic("E0211", "a flag can't be read", at, help=help),), Status.USAGE, source)
    value = _value(source, text, number, len(key) + 1)
    if value.data["v"] is None and _is_known(source.data, steps):
        return source  # there is nothing to remove
    return composed(source, _layer(source, steps, value))


def _is_known(data: Any, steps: Keys) -> bool:
    """Whether a key is part of the language but not written in this spec."""
    entries = data["heads"] if isinstance(data.get("heads"), dict) else {"": data.get("head")}
    method = _variant(data.get("adapt", DEFAULTS["adapt"]), "adapt")
    heads = {str(name): _variant(entry, "head") for name, entry in entries.items()}
    if not method or not all(heads.values()):
        return False
    for step in steps:
        if not isinstance(data, dict) or step not in data:
            return steps in keys(method, heads)
        data = data[step]
    return False


def _variant(section: Any, word: str) -> str:
    """The variant that a section names; "" if it names no known one."""
    folder, tag, _ = VARIANTS[word]
    found = section.get(tag) if isinstance(section, dict) else None
    return found if isinstance(found, str) and found in variants.words(folder) else ""


def _value(source: Source, text: str, number: int, shift: int) -> Source:
    """The value after `=`, as a source whose text is the flag."""
    try:
        value = parse_text(_BEFORE + text, FLAGS, Path(), "the value")
    except Refused as refused:
        moved = tuple(
            replace(d, at=_moved(d.at, number, shift) if isinstance(d.at, Span) else d.at, also=())
            for d in refused.diagnostics
        )
        raise Refused(moved, Status.USAGE, source) from None
    keys, values = (
        {path: _moved(at, number, shift) for path, at in places.items()} for places in (value.keys, value.values)
    )
    return replace(value, keys=keys, values=values)


def _moved(at: Span, number: int, shift: int) -> Span:
    """The place in the value, as a place in the flag."""
    return replace(at, line=number, column=max(1, at.column - len(_BEFORE) + shift))


def _layer(source: Source, steps: Keys, value: Source) -> Source:
    """A source that holds the value of one flag only."""
    data: Any = value.data["v"]
    for step in reversed(steps):
        data = {step: data}
    key = Span(FLAGS, len(source.flags), 1, sum(map(len, map(str, steps))) + len(steps) - 1)
    above = {steps[: i + 1]: key for i in range(len(steps))}
    keys = above | {(*steps, *path[1:]): at for path, at in value.keys.items() if path[1:]}
    values = above | {(*steps, *path[1:]): at for path, at in value.values.items() if path}
    return replace(value, data=data, keys=keys, values=values)
