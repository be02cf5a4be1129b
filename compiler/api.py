"""The public functions: validate, plan, build."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from .boundary import OPEN, Boundary
from .checks.pretraining import stage_problems
from .checks.problems import problems
from .checks.redaction import redacted
from .diagnostics import Diagnostic, Refused, Status
from .facts.backbone import gather_backbone
from .facts.facts import Facts
from .facts.multi_head import gather
from .facts.pretraining import gather_stages
from .facts.recorded import Known
from .homes import default_root, snapshots
from .language.overrides import override
from .language.parse import draft
from .language.source import Source, read
from .language.spec import Draft

if TYPE_CHECKING:
    from .execution.executor import Built
    from .execution.progress import Progress
    from .locking.lock import Lock
    from .locking.locked import Locked
    from .planning.plan import Plan

Confine = str | Path | Sequence[str | Path] | None  # one folder, several, or none


@dataclass(frozen=True)
class CheckOptions:
    """Options of a check; by default it uses no lock."""

    is_locked: bool = False  # whether any difference from the lock is an error
    has_data: bool = True  # whether the data is read; else the lock's record of it is used
    versions: Mapping[str, str] | None = None  # versions of installed libraries to compare with the lock; None for none


@dataclass(frozen=True)
class Seen:
    """The result of a check: facts, the plan (None where there are errors), and all diagnostics."""

    source: Source  # for reports, which also quote the lock
    facts: Facts
    plan: Plan | None
    found: tuple[Diagnostic, ...]
    notes: tuple[str, ...] = ()  # sentences on what was not checked


def check(source: Source, options: CheckOptions = CheckOptions()) -> tuple[Plan | None, tuple[Diagnostic, ...]]:
    """The plan of a source (None where there are errors), and all diagnostics.

    Raises Refused where the machine is at fault.
    """
    seen = look(source, options)
    return seen.plan, seen.found


def confined(confine: Confine, store: str | Path | None = None) -> Boundary:
    """The boundary of `--confine`: its folders, the store and the Hub's cache; without folders, no boundary."""
    folders = [confine] if isinstance(confine, str | Path) else list(confine or ())
    if not folders:
        return OPEN
    drawn = Boundary(tuple(map(os.path.realpath, folders)), tuple(map(str, folders)))
    return drawn.including([store or default_root(), snapshots()])


def look(source: Source, options: CheckOptions, *, is_planned: bool = True) -> Seen:
    """The result of a check with its facts; raises Refused as `check` does.

    Without `is_planned` there is no plan, which saves a tenth of the time; the diagnostics are the same.
    """
    try:
        seen = _look(source, options, is_planned)
    except Refused as refused:
        raise Refused(redacted(refused.diagnostics, source), refused.status, refused.source) from None
    return replace(seen, found=redacted(seen.found, source))


def _look(source: Source, options: CheckOptions, is_planned: bool) -> Seen:
    read = draft(source)
    try:
        locked = None if options == CheckOptions() else _lock(source)
        known, found = (None, ()) if locked is None or options.has_data else _recalled(read, locked)
        reference, boundary = locked.reference() if locked and options.is_locked else "", source.boundary
        facts = gather(read, source.folder, reference, known, boundary)
        if read.pretrain or read.retain:
            facts = gather_stages(read, source.folder, facts, known, boundary)
        found += (*read.found, *problems(read, facts), *stage_problems(read, facts))
        found += _measured_otherwise(read, facts, locked) if locked and known else ()
        plan = _lowered(read, facts, source) if is_planned and not any(d.is_error for d in found) else None
        if locked and options.is_locked and not read.found:
            found += _drift(locked, facts, plan, options)
            plan = locked.pin(plan) if plan and not any(d.is_error for d in found) else None
    except Refused as refused:
        raise Refused((*read.found, *refused.diagnostics), refused.status, refused.source or source) from None
    trusted = (_trusted(locked),) if locked and known else ()
    seen = Seen(locked.quoting() if locked else source, facts, plan, found, trusted)
    if facts.status != Status.FINE:
        raise Refused(found, facts.status, seen.source)
    return seen


def _lowered(read: Draft, facts: Facts, source: Source) -> Plan:
    from .planning.lower import lower

    return lower(read.whole(), facts, source.data)


def _trusted(locked: Locked) -> str:
    lock = locked.written.file
    return f"the data was not read: its rows, labels and lengths are taken as {lock} counts them"


# the code for locks is imported only if there is a lock, because the import takes a tenth of a check's time
def _lock(source: Source) -> Locked:
    from .locking.locked import read_lock

    return read_lock(source)


def _recalled(read: Draft, locked: Locked) -> tuple[Known | None, tuple[Diagnostic, ...]]:
    from .locking.recall import recall

    return recall(read, locked)


def _measured_otherwise(spec: Draft, facts: Facts, locked: Locked) -> tuple[Diagnostic, ...]:
    from .locking.recall import measured_otherwise

    return tuple(measured_otherwise(spec, facts, locked))


def _drift(locked: Locked, facts: Facts, plan: Plan | None, options: CheckOptions) -> tuple[Diagnostic, ...]:
    from .locking.drift import drift, version_drift
    from .store.store import Store  # imports numpy, which is slow

    versions = version_drift(locked, options.versions) if options.versions is not None else ()
    return (*drift(locked, facts, plan, Store(default_root()).digests, options.has_data), *versions)


def validate(path: str | Path, confine: Confine = None) -> tuple[Diagnostic, ...]:
    """All errors and warnings of a spec; empty for a clean one. Never raises Refused.

    With `confine`, no file outside of that folder or those folders is opened, and no value of data files is quoted.
    """
    try:
        return look(read(Path(path), boundary=confined(confine)), CheckOptions(), is_planned=False).found
    except Refused as refused:
        return refused.diagnostics


def plan(path: str | Path, sets: Sequence[str] = (), confine: Confine = None) -> Plan:
    """The plan of a spec; raises Refused where `validate` finds an error."""
    source = override(read(Path(path), boundary=confined(confine)), sets)
    planned, found = check(source)
    if planned is None:
        raise Refused(found, source=source)
    return planned


@dataclass(frozen=True)
class Locking:
    """The lock of a spec, warnings, and a record of each row that is left out."""

    lock: Lock
    found: tuple[Diagnostic, ...]
    left_out: tuple[Mapping[str, str | int], ...]


def lock_source(source: Source) -> Locking:
    """The lock of a spec as things are now; the backbone's weights are fetched if needed.

    Raises Refused where `check` finds an error.
    """
    from .locking.lock import lock
    from .locking.locked import refuse_outside, refuse_shared
    from .machine import recorded
    from .store.store import Store

    refuse_shared(source)
    refuse_outside(source)
    seen = look(source, CheckOptions())
    if seen.plan is None:
        raise Refused(seen.found, source=source)
    try:
        memory, boundary = Store(default_root()).digests, source.boundary
        backbone = gather_backbone(seen.plan.backbone.source, source.folder, True, boundary, memory)
    except Refused as refused:
        raise Refused(redacted(refused.diagnostics, source), refused.status, source) from None
    facts = replace(seen.facts, backbone=backbone)
    made = lock(source, facts, seen.plan, recorded(), memory)
    return Locking(made, seen.found, tuple(_left_out(facts)))


def _left_out(facts: Facts) -> Iterator[Mapping[str, str | int]]:
    """A record of each row that is left out, of every head and stage; rows that several heads read come once."""
    seen: set[tuple[str, int, str]] = set()
    for before, each in (*(("", task) for task in facts.each), *facts.stages().items()):
        for name, split in each.splits.items():
            for left in split.left_out:
                key = (left.table.shown, left.number, left.kind)
                if key not in seen:
                    seen.add(key)
                    yield left.record(f"{before}.{name}" if before else name)


@dataclass(frozen=True)
class Ready:
    """A plan without errors, the root of its data paths, its source, and warnings."""

    plan: Plan
    root: Path
    source: Source  # the source of the plan
    found: tuple[Diagnostic, ...] = ()


def ready(source: Source, is_locked: bool = False) -> Ready:
    """Plans a source for a build; raises Refused where there are errors.

    With `is_locked`, also where anything differs from the spec's lock, including installed libraries.
    """
    from .machine import recorded

    seen = look(source, CheckOptions(True, True, recorded()) if is_locked else CheckOptions())
    if seen.plan is None:
        raise Refused(seen.found, source=seen.source)
    return Ready(seen.plan, source.folder, source, seen.found)


def ready_again(plan: Plan, name: str, root: Path, boundary: Boundary = OPEN) -> Ready:
    """A plan that was read from the file `name`, planned again from its own spec, with paths relative to `root`.

    Raises Refused with the errors of its spec, E0405 where files changed since, E0214 where the plan is not that of its
    spec, and E0353 where a path leads out of `boundary`.
    """
    from .planning.replan import refuse_missing, refuse_other, source_of

    source = replace(source_of(plan, name, root), boundary=boundary)
    refuse_missing(plan, root, boundary)
    seen = look(source, CheckOptions())
    if seen.plan is None:
        raise Refused(seen.found, source=source)
    refuse_other(plan, seen.plan, name)
    return Ready(seen.plan.model_copy(update={"pins": plan.pins}), root, source, seen.found)


def build_ready(ready: Ready, output: Path, store: Path | None, progress: Progress) -> Built:
    """Executes a plan; raises Refused where there are errors or a gate fails.

    Afterwards the store is reduced to $GRAFTC_STORE_LIMIT, if that is set.
    """
    from .execution.executor import execute
    from .store.collection import collect, limit
    from .store.store import Store

    most, kept = limit(), Store(store or default_root())
    try:
        built = execute(ready.plan, ready.root, output, kept, progress, ready.source.boundary)
    except Refused as refused:
        found = redacted(refused.diagnostics, ready.source)
        raise Refused(found, refused.status, refused.source or ready.source) from refused.__cause__
    if most is not None:
        collect(kept, most, None)
    return replace(built, warnings=ready.found)


def build_source(
    source: Source,
    output: Path | None,
    store: Path | None,
    progress: Progress | None = None,
    is_locked: bool = False,
) -> Built:
    """Plans a source and executes the plan."""
    from .execution.progress import Progress

    plan = ready(source, is_locked)
    return build_ready(plan, output or place(plan), store, progress or Progress())


def place(ready: Ready) -> Path:
    """The default folder of a bundle."""
    return Path("bundles") / ready.plan.name


def build(
    path: str | Path,
    output: str | Path | None = None,
    store: str | Path | None = None,
    sets: Sequence[str] = (),
    confine: Confine = None,
) -> Built:
    """Executes a spec and writes its bundle; raises Refused where there are errors or a gate fails."""
    source = override(read(Path(path), boundary=confined(confine, store)), sets)
    return build_source(source, Path(output) if output else None, Path(store) if store else None)
