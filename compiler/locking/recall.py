"""Plans without data: takes the facts that planning needs of the data from a lock."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from .. import variants
from ..boundary import outside
from ..diagnostics import At, Diagnostic, Refused, listed, quote, refuse
from ..diagnostics import Path as Keys
from ..facts.facts import Facts, SplitFacts
from ..facts.recorded import Known
from ..facts.rows import Opened
from ..language.spec import Draft
from .lock import LockedData, LockedSplit, is_read_otherwise, place_of, reads, sections
from .locked import Locked, again, beside

NOTHING = Known({}, {}, {})


def recall(spec: Draft, locked: Locked) -> tuple[Known, tuple[Diagnostic, ...]]:
    """The facts about the data as locked, and E0348 for everything that the spec now asks and the lock does not hold.

    A spec with mistakes in its shape gives no facts. Raises Refused E0341 for counts that no head can have made.
    """
    found = tuple(_other_data(spec, locked)) if not spec.found else ()
    if found or spec.found:
        return NOTHING, found
    stages = locked.lock.stages or {}
    try:
        tasks = {
            name: _known(head.task, locked, head.data, (*place_of(name), "data"))
            for name, head in locked.lock.each.items()
        }
        pretrain = tuple(
            _known(str(stage.head_type), locked, stages[f"pretrain-{i}"], ("stages", f"pretrain-{i}"))
            for i, stage in enumerate(spec.pretrain, 1)
        )
        # all language-modelling objectives count rows alike
        counts = "masked-language-modeling"
        retain = _known(counts, locked, stages["retain"], ("stages", "retain")) if "retain" in stages else None
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        at, help = locked.at(("data", "splits")) or locked.at(("heads",)), again(locked.source)
        raise refuse("E0341", "the counts in the lock can't be read", at=at, help=help) from None
    patterns = {each.heads: each.rows for each in locked.lock.together or ()}
    known = tasks.get("") or replace(NOTHING, tasks=tasks, patterns=patterns)
    return replace(known, pretrain=pretrain, retain=retain), ()


def _known(task: str, locked: Locked, data: LockedData, place: Keys) -> Known:
    """The locked facts about the rows that a head or an objective reads."""
    splits: dict[str, SplitFacts] = {
        s.name: _split(task, locked, data, (*place, "splits", i), s) for i, s in enumerate(data.splits)
    }
    for name in variants.input(variants.top(task).modality).statistics:
        float(data.measured[name])
    if "train" not in splits:
        raise KeyError("train")
    return Known(dict(data.columns), splits, dict(data.measured))


def _other_data(spec: Draft, locked: Locked) -> Iterator[Diagnostic]:
    lock, help = locked.lock, f"where the data is, {again(locked.source)}"
    views, heads = {view.name: view for view in spec.each}, lock.each
    if views.keys() != heads.keys():
        at = At(("heads",) if "heads" in locked.source.data else ("head",), "not what was locked", on_key=True)
        now, was = (listed([name for name in names if name] or ["only one"]) for names in (views, heads))
        headline, notes = (
            "without the data, only the heads of the lock are known",
            (_said(was, now),),
        )
        yield Diagnostic("E0348", headline, at, notes=notes, help=help)
        return
    for name, view in views.items():
        if reads(locked.source, name) != heads[name].reads:
            at = At(("heads", name) if ("data",) in view.own else ("data",), "not what was locked", on_key=True)
            what = f"the data of `{name}`" if name else "`data`"
            headline = f"{what} changed since it was locked, and without the data nothing is known of it"
            yield Diagnostic("E0348", headline, at, help=help)
    for name in ("pretrain", "retain"):
        if sections(locked.source).get(name) != lock.spec.get(name):
            at = At((name,), "not what was locked", on_key=True)
            headline = f"`{name}` changed since it was locked, and without the data nothing is known of it"
            yield Diagnostic("E0348", headline, at, help=help)
    for name, view in views.items():
        if view.head_type != heads[name].task:
            at = At(("heads", name, "type") if name else ("head", "type"), f"locked: {heads[name].task}")
            headline = f"without the data, only the counts of {quote(heads[name].task)} are known"
            yield Diagnostic("E0348", headline, at, help=help)


def _said(was: str, now: str) -> str:
    return f"heads: locked {was}, found {now}"


def measured_otherwise(spec: Draft, facts: Facts, locked: Locked) -> Iterator[Diagnostic]:
    """E0348 where preprocessing differs from the one with which the locked data was measured."""
    heads = locked.lock.each
    seen = zip((task.name for task in spec.each), facts.each, strict=True)
    if any(
        f.splits and f.preprocessing and is_read_otherwise(f, heads[name].data) for name, f in seen if name in heads
    ):
        at = At(("backbone", "from"), "prepares inputs in another way")
        headline = "without the data, its inputs are not known as this backbone reads them"
        note = "it was measured with another tokenizer or image processor"
        help = f"where the data is, {again(locked.source)}"
        yield Diagnostic("E0348", headline, at, notes=(note,), help=help)


def _split(task: str, locked: Locked, data: LockedData, at: Keys, split: LockedSplit) -> SplitFacts:
    folder, boundary = locked.source.folder, locked.source.boundary
    for i, table in enumerate(split.tables):
        if boundary.is_outside(folder / table.path):
            raise Refused((outside("a table of the lock", locked.at((*at, "tables", i, "path")), boundary),))
    tables = tuple(Opened(folder / t.path, t.path, t.format, t.split, boundary=boundary) for t in split.tables)
    # findings about labels point into the lock, because the rows are elsewhere
    place = (beside(locked.source).name, locked.written.values[at].line)
    counted = variants.top(task).tally.recall(data.columns, split.tally, place)
    digests, sizes = tuple(t.fingerprint for t in split.tables), tuple(t.bytes for t in split.tables)
    kinds, skipped = split.left_out.plain(), tuple(t.skipped for t in split.tables)
    return SplitFacts(tables, digests, sizes, split.rows, counted, (), kinds=kinds, skipped=skipped)
