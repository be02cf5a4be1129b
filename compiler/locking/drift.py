"""Drift: the differences between a lock and today's spec, backbone, data and libraries; read-only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..diagnostics import At, Diagnostic, clean, quote
from ..diagnostics import Path as Keys
from ..facts.backbone import BackboneFacts, backbone_files
from ..facts.facts import Facts, SplitFacts
from ..planning.plan import Plan
from .counts import miscounts
from .lock import (
    Lock,
    LockedData,
    LockedHead,
    LockedTable,
    is_read_otherwise,
    lock_tables,
    place_of,
    sections,
)
from .locked import Locked, again

SHORT = 12  # digits of a hash that messages show
SHOWN = 6  # labels or counts that messages show


def drift(
    locked: Locked, facts: Facts, plan: Plan | None, memory: Path, has_data: bool = True
) -> tuple[Diagnostic, ...]:
    """One diagnostic per difference from the lock; consequences of a changed spec are left out.

    `memory` is the folder that remembers hashes of large files. Without data (`has_data` False), `facts` are the lock's
    own.
    """
    held = _Held(locked.lock, locked)
    changed = held.changed()
    found = [*held.spec(changed)]
    if facts.backbone and not changed & {"backbone"}:
        found += held.backbone(facts.backbone, memory)
    if not changed & {"backbone", "data", "head", "heads"}:
        found += held.heads(facts, plan, has_data)
    if has_data and not changed & {"backbone", "pretrain", "retain"}:
        found += held.stages(facts)
    if plan and not found and plan.sha256 != locked.lock.plan:
        found.append(held.otherwise(facts))
    if plan and not found and has_data:
        found += held.counts(facts)
    return tuple(found)


def version_drift(locked: Locked, installed: Mapping[str, str]) -> tuple[Diagnostic, ...]:
    """One diagnostic per library whose version is not the locked one; only building depends on versions."""
    found = []
    for name in sorted({*installed, *locked.lock.versions}):
        was, now = locked.lock.versions.get(name, ""), installed.get(name, "")
        if was != now:
            headline = f"{quote(name)} is not what it was when this was locked"
            note = _both("version", clean(was) or "not installed", clean(now) or "not installed")
            help = f"install what was locked, or {again(locked.source)}"
            found.append(Diagnostic("E0347", headline, locked.at(("versions", name)), notes=(note,), help=help))
    return tuple(found)


@dataclass(frozen=True)
class _Held:
    """A lock, compared with the world of today."""

    lock: Lock
    locked: Locked

    def _found(self, code: str, headline: str, path: Keys, *notes: str) -> Diagnostic:
        return Diagnostic(code, headline, self.locked.at(path), notes=notes, help=again(self.locked.source))

    def changed(self) -> set[str]:
        now = sections(self.locked.source)
        return {key for key in {*now, *self.lock.spec} if now.get(key) != self.lock.spec.get(key)}

    def spec(self, changed: set[str]) -> Iterator[Diagnostic]:
        if changed:
            now, was = self.locked.source.data, self.lock.spec
            fates = {"changed": changed & {*now} & {*was}, "new": changed - {*was}, "gone": changed - {*now}}
            note = "; ".join(f"{fate}: {', '.join(map(quote, sorted(keys)))}" for fate, keys in fates.items() if keys)
            first = min(changed & {*was}, default=None)
            at, help = self.locked.at(("spec", first) if first else ("spec",)), again(self.locked.source)
            also = (At((first,), "not what was locked", on_key=True),) if first in now and first else ()
            yield Diagnostic("E0343", "the spec changed since it was locked", at, also, (note,), help)

    def backbone(self, backbone: BackboneFacts, memory: Path) -> Iterator[Diagnostic]:
        was, now = self.lock.backbone, backbone_files(backbone, memory)
        if backbone.located.pinned != was.source:
            headline = f"the backbone is {quote(backbone.located.pinned)} now"
            yield self._found("E0344", headline, ("backbone", "source"), f"locked: {clean(was.source)}")
        # weights that are not downloaded yet are fixed by the commit, and their headers are compared below
        away = {name for name in backbone.header.files if name not in now and _is_elsewhere(backbone)}
        for name in sorted({*was.files, *now} - away):
            if was.files.get(name) != now.get(name):
                headline = f"the backbone's {quote(name)} {_fate(name in was.files, name in now)} since it was locked"
                note = _both("sha256", _short(was.files.get(name)), _short(now.get(name)))
                yield self._found("E0344", headline, ("backbone", "files", name), note)
        if backbone.header.sha256 != was.header and (away or was.files == now):
            yield self._found("E0344", "the headers of the backbone's weights changed", ("backbone", "header"))

    def stages(self, facts: Facts) -> Iterator[Diagnostic]:
        """Drift in the rows of stages before the supervised one and in the text of `retain`."""
        for stage, seen in facts.stages().items():
            if known := (self.lock.stages or {}).get(stage):
                for name, split in seen.splits.items():
                    yield from self.split(name, split, known, ("stages", stage))

    def heads(self, facts: Facts, plan: Plan | None, has_data: bool) -> Iterator[Diagnostic]:
        """Drift in what each head reads; a table that several heads read is reported once."""
        if [*self.lock.each] != _names(self.locked.source.data):
            note = _both("heads", _row((*self.lock.each,)), _row((*_names(self.locked.source.data),)))
            yield self._found("E0346", "the lock tells of other heads than the spec has", ("heads",), note)
            return
        named: set[str] = set()
        for (name, head), seen in zip(self.lock.each.items(), facts.each, strict=True):
            at = place_of(name)
            for split, rows in seen.splits.items() if has_data else ():
                found = [
                    each for each in self.split(split, rows, head.data, (*at, "data")) if each.headline not in named
                ]
                named |= {each.headline for each in found}
                yield from found
            if plan:
                yield from self.labels(head, plan.task(name).head.record.get("labels"), at)
            yield from self.columns(head, seen, at)

    def split(self, name: str, split: SplitFacts, data: LockedData, at: Keys) -> Iterator[Diagnostic]:
        numbers = [i for i, was in enumerate(data.splits) if was.name == name]
        if not numbers:
            yield self._found("E0345", f"there was no {name} data when this was locked", (*at, "splits"))
            return
        number, tables = numbers[0], lock_tables(split)
        was = data.splits[number]
        for i, table in enumerate(was.tables):
            now = tables[i] if i < len(tables) else None
            if now == table:
                continue
            place = (*at, "splits", number, "tables", i, "fingerprint")
            notes = [*_of_table(table, now)]
            if was.rows != split.rows:
                notes.append(_both(f"rows of the {name} data", str(was.rows), str(split.rows)))
            yield self._found("E0345", f"{quote(table.path)} changed since it was locked", place, *notes)
        for table in tables[len(was.tables) :]:
            headline = f"{quote(table.path)} was not read when this was locked"
            yield self._found("E0345", headline, (*at, "splits", number, "tables"))

    def labels(self, head: LockedHead, now: tuple[str, ...] | None, at: Keys) -> Iterator[Diagnostic]:
        was = head.labels
        if now != was:
            notes = _both("labels", _row(was or ()), _row(now or ()))
            is_order = was and now and sorted(was) == sorted(now)
            what = "the order of the labels" if is_order else "the label map"
            of = f" of `{at[-1]}`" if at else ""
            yield self._found("E0346", f"{what}{of} changed since it was locked", (*at, "labels"), notes)

    def columns(self, head: LockedHead, facts: Facts, at: Keys) -> Iterator[Diagnostic]:
        was = head.data.columns
        for role in sorted({*was, *facts.columns}) if facts.columns else ():
            if was.get(role) != facts.columns.get(role):
                note = _both("columns", _row(was.get(role, ())), _row(facts.columns.get(role, ())))
                headline = f"another column plays the role {quote(role)} than when it was locked"
                yield self._found("E0346", headline, (*at, "data", "columns", role), note)

    def counts(self, facts: Facts) -> Iterator[Diagnostic]:
        """E0355: counts in the lock that contradict data whose fingerprints match."""
        found = list(miscounts(self.lock, facts))
        if found:
            notes = [said for _, said in found[:SHOWN]] + ([f"… {len(found) - SHOWN} more"] if found[SHOWN:] else [])
            yield self._found("E0355", "the counts in the lock are not those of the data", found[0][0], *notes)

    def otherwise(self, facts: Facts) -> Diagnostic:
        each = zip(facts.each, self.lock.each.values(), strict=True)
        is_input = any(seen.preprocessing and is_read_otherwise(seen, head.data) for seen, head in each)
        what = "inputs are prepared in another way" if is_input else "its decisions differ"
        note = f"the spec, the backbone and the data are as they were, and {what}"
        return self._found("E0347", "this graftc makes another plan than the one that locked", ("plan",), note)


def _names(written: Mapping[str, object]) -> list[str]:
    """The names of a spec's heads; the single head has the empty name."""
    heads = written.get("heads")
    return [*heads] if isinstance(heads, dict) else [""]


def _is_elsewhere(backbone: BackboneFacts) -> bool:
    return not all((backbone.located.folder / name).is_file() for name in backbone.header.files)


def _fate(was: bool, now: bool) -> str:
    return "changed" if was and now else "is gone" if was else "was added"


def _of_table(was: LockedTable, now: LockedTable | None) -> Iterator[str]:
    if now is None or (was.path, was.format, was.split) != (now.path, now.format, now.split):
        yield f"it is read as {quote(now.path)}, {now.format}" if now else "it is not read"
        return
    if was.fingerprint != now.fingerprint:
        yield _both("fingerprint", _short(was.fingerprint), _short(now.fingerprint))
    if was.skipped != now.skipped:
        yield _both("rows left out", clean(was.skipped) or "none", clean(now.skipped) or "none")
    if was.bytes != now.bytes:
        yield _both("bytes", str(was.bytes), str(now.bytes))


def _short(sha256: str | None) -> str:
    return sha256[:SHORT] if sha256 else "none"


def _both(what: str, was: str, now: str) -> str:
    return f"{what}: locked {was}, found {now}"


def _row(words: tuple[str, ...]) -> str:
    shown = ", ".join(map(clean, words[:SHOWN])) or "none"
    return shown + (f", … {len(words) - SHOWN} more" if len(words) > SHOWN else "")
