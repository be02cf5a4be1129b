"""Compares a plan that was read from a file with the plan that its own spec gives now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..boundary import OPEN, Boundary
from ..diagnostics import At, Diagnostic, Refused, Row, clean, quote, refuse
from ..language.source import Source
from ..store.hashes import canonical
from .plan import Plan, TablePlan

SHOWN = 5  # the most differing keys in a message
Keys = tuple[str | int, ...]


def source_of(plan: Plan, name: str, root: Path) -> Source:
    """The spec inside a plan as a source without lines, its paths relative to `root`."""
    data = _as_read(plan.spec.plain())
    if isinstance(heads := data.get("heads"), dict):  # canonical JSON sorts keys; the tasks keep the order of heads
        names = [task.name for task in plan.tasks]
        data["heads"] = {key: heads[key] for key in (*(n for n in names if n in heads), *heads)}
    return Source(name, root, "", data, {}, {})


def _as_read(value: Any) -> Any:
    """JSON values in the form of a spec's values, with tuples for lists."""
    if isinstance(value, dict):
        return {key: _as_read(item) for key, item in value.items()}
    return tuple(map(_as_read, value)) if isinstance(value, list) else value


def refuse_missing(plan: Plan, root: Path, boundary: Boundary = OPEN) -> None:
    """Raises Refused E0405 where a table is no longer at its path; paths outside of `boundary` are not asked for."""
    for table in _tables(plan):
        if not boundary.is_outside(root / table.path) and not (root / table.path).exists():
            help = "plan again, or give --root, the folder of the plan's spec"
            headline = f"{quote(table.path)} was there when it was planned, and is not now"
            raise refuse("E0405", headline, f"looked for from {quote(root)}", help=help)


def refuse_other(plan: Plan, again: Plan, name: str) -> None:
    """Raises Refused where a plan is not the plan of its spec: E0405 where files changed since, else E0214."""
    _refuse_changed(plan, again)
    differing = list(_differing((), _plain(plan), _plain(again)))
    if differing:
        notes = [_told(*each) for each in differing[:SHOWN]]
        notes += [f"and {len(differing) - SHOWN} more"] if len(differing) > SHOWN else []
        help = "change the spec and plan again: `graftc plan SPEC -o plan.json`, with the graftc that builds"
        raise refuse("E0214", f"{quote(name)} is not what its own spec gives", *notes, at=Row(name), help=help)


def _refuse_changed(plan: Plan, again: Plan) -> None:
    before, now = plan.backbone, again.backbone
    found = []
    if (before.config_sha256, before.header_sha256) != (now.config_sha256, now.header_sha256):
        at = At(("backbone", "from"))
        found.append(Diagnostic("E0405", "the backbone changed since it was planned", at, help="plan again"))
    then = {table.path: table.sha256 for table in _tables(plan)}
    for path in sorted({t.path for t in _tables(again) if then.get(t.path, t.sha256) != t.sha256}):
        found.append(Diagnostic("E0405", f"{quote(path)} changed since it was planned", help="plan again"))
    if found:
        raise Refused(tuple(found))


def _tables(plan: Plan) -> Iterator[TablePlan]:
    for task in (task for phase in plan.phases for task in phase.tasks):
        for split in task.data.splits:
            yield from split.tables


def _plain(plan: Plan) -> dict[str, Any]:
    """A plan as JSON values, without the pins of a lock."""
    return plan.model_dump(mode="json", exclude={"pins"})


def _differing(keys: Keys, mine: Any, other: Any) -> Iterator[tuple[Keys, Any, Any]]:
    """The deepest keys at which two JSON values differ, with both values."""
    if isinstance(mine, Mapping) and isinstance(other, Mapping):
        if mine.keys() != other.keys():
            odd = min(mine.keys() ^ other.keys())
            yield (*keys, odd), mine.get(odd), other.get(odd)
        for key in sorted(mine.keys() & other.keys()):
            yield from _differing((*keys, key), mine[key], other[key])
    elif isinstance(mine, list) and isinstance(other, list) and len(mine) == len(other):
        for i, (one, two) in enumerate(zip(mine, other, strict=True)):
            yield from _differing((*keys, i), one, two)
    elif canonical(mine) != canonical(other):  # canonical text tells 1 from 1.0 and true
        yield keys, mine, other


def _told(keys: Keys, mine: Any, other: Any) -> str:
    planned, given = (clean(canonical(value)) for value in (mine, other))
    return f"`{'.'.join(map(str, keys))}`: {planned}, its spec gives {given}"
