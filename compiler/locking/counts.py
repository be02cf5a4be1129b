"""Compares the counts in a lock with the data; different rows or labels mean that the lock was edited."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..diagnostics import Path as Keys
from ..diagnostics import clean
from ..facts.facts import Facts
from ..frozen import Json
from .lock import Lock, LockedData, is_read_otherwise, place_of

Miscount = tuple[Keys, str]  # the place in the lock, and a note with the locked and the found value


def miscounts(lock: Lock, facts: Facts) -> Iterator[Miscount]:
    """Every count in the lock that the data contradicts; fingerprints are compared elsewhere."""
    for (name, head), seen in zip(lock.each.items(), facts.each, strict=True):
        yield from _of(head.data, seen, (*place_of(name), "data"))
    stages = facts.stages()
    for name, data in (lock.stages or {}).items():
        if name in stages:
            yield from _of(data, stages[name], ("stages", name))
    for name in sorted({*stages} - {*(lock.stages or {})}):
        yield ("stages",), _said("stage", "none", name)
    for name in sorted({*(lock.stages or {})} - {*stages}):
        yield ("stages", name), _said("stage", name, "none")
    if facts.tasks:
        was = {" and ".join(each.heads): each.rows for each in lock.together or ()}
        now = {" and ".join(heads): rows for seen in facts.tasks for heads, rows in seen.patterns.items()}
        yield from _otherwise(was, now, ("together",), "training rows of ")


def _of(data: LockedData, seen: Facts, at: Keys) -> Iterator[Miscount]:
    """The miscounts of the rows that one head or stage reads."""
    names = [split.name for split in data.splits]
    if names != list(seen.splits):
        yield (*at, "splits"), _said("splits", ", ".join(names), ", ".join(seen.splits))
        return
    for i, (was, now) in enumerate(zip(data.splits, seen.splits.values(), strict=True)):
        place, of = (*at, "splits", i), f" of the {was.name} data"
        if was.rows != now.rows:
            yield (*place, "rows"), _said(f"rows{of}", was.rows, now.rows)
        yield from _otherwise(was.tally, Json(now.tally.record()), (*place, "tally"), f"the {was.name} data's ")
        yield from _otherwise(was.left_out, Json(now.kinds), (*place, "left_out"), f"rows{of} left out: ")
    if seen.preprocessing and is_read_otherwise(seen, data):
        yield (*at, "preprocessing"), "how inputs are prepared is another record"
    yield from _otherwise(data.measured, Json(dict(seen.measured)), (*at, "measured"), "measured ")


def _otherwise(was: Mapping[str, Any], now: Mapping[str, Any], at: Keys, what: str) -> Iterator[Miscount]:
    for key in sorted({*was, *now}):
        if was.get(key) != now.get(key):
            said = _said(f"{what}{clean(key)}", was.get(key, "none"), now.get(key, "none"))
            yield ((*at, key) if key in was else at), said


def _said(what: str, was: object, now: object) -> str:
    """A note with the locked and the found value; for lists, only the items that the other list lacks."""
    if isinstance(was, tuple) and isinstance(now, tuple):
        was, now = [item for item in was if item not in now], [item for item in now if item not in was]
    return f"{what}: locked {_shown(was)}, found {_shown(now)}"


def _shown(value: object) -> str:
    """A value as messages show it.

    >>> _shown(("20 billing", "20 bug")), _shown(Json({"a": 1})), _shown([])
    ('20 billing, 20 bug', "{'a': 1}", 'none')
    """
    if isinstance(value, Json):
        value = value.plain()
    return clean(", ".join(map(str, value)) if isinstance(value, list | tuple) else value) or "none"
