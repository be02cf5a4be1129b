"""The stages that would run again and why, from the records and keys that a build uses."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..diagnostics import clean
from ..execution import pipeline, steps
from ..frozen import Frozen
from ..machine import Machine
from ..planning.plan import Plan
from ..planning.portable import portable
from .changes import Change, Difference, Keys, changes, differences, spelt
from .snapshots import Files, Snapshot

# both sides as if built on one machine, so that machine and versions are no difference
ANY = Machine(device="", threads=0, versions={})
UNKNOWN = "the weights are compared by their names, shapes and types: what their numbers are is not known of both sides"


class Run(Frozen):
    """A stage that would run again, with the differences in its record and those of its inputs that run again."""

    stage: str
    because: tuple[Change, ...]
    after: tuple[str, ...]
    is_new: bool  # the old plan has no such stage


@dataclass(frozen=True)
class Stages:
    """What a build of the new plan would do in a store that holds every stage of the old one."""

    runs: tuple[Run, ...]
    reuses: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def retrains(self) -> bool:
        """Whether weights are trained again."""
        return any(pipeline.LEARNS.fullmatch(run.stage) for run in self.runs)


def compare_stages(old: Snapshot, new: Snapshot) -> Stages:
    """Compares the stages of two plans."""
    weights, notes = _weights(old.files, new.files)
    shared = _shared(old.files, new.files)
    before = steps.stages(old.plan, weights[0], *shared[0])
    after = steps.stages(new.plan, weights[1], *shared[1])
    done = set(pipeline.keys(before, ANY).items())
    keys = pipeline.keys(after, ANY)
    needed = pipeline.needed(after, lambda stage: (stage.name, keys[stage.name]) in done)
    records = {stage.name: stage.record for stage in before}
    whole = list(differences(_decided(old.plan), _decided(new.plan)))
    runs: list[Run] = []
    for stage in after:
        if stage.name in needed:
            follows = tuple(name for name in stage.inputs if name in needed and name not in pipeline.SILENT)
            runs.append(_run(stage, records.get(stage.name), follows, runs, whole))
    reuses = tuple(stage.name for stage in after if (stage.name, keys[stage.name]) in done)
    return Stages(tuple(runs), reuses, notes)


def _run(
    stage: pipeline.Stage,
    record: Mapping[str, Any] | None,
    follows: tuple[str, ...],
    earlier: Iterable[Run],
    whole: Iterable[Difference],
) -> Run:
    if record is None:
        return Run(stage=stage.name, because=(), after=follows, is_new=True)
    found = list(_with_names(differences(record, stage.record), whole))
    if any(
        path == ("plan",) for path, _, _ in found
    ):  # the whole plan: only differences that no earlier stage reported
        known = {change.field for run in earlier for change in run.because}
        decided = [item for item in _without_text(whole) if not _is_told(item[0], earlier)]
        rest = [change for change in changes(decided) if change.field not in known]
        own = changes(item for item in found if item[0] != ("plan",))
        return Run(stage=stage.name, because=(*rest, *own), after=follows, is_new=False)
    beside = [item for item in found if stage.module == "prepare" and _is_beside(item[0], stage.task)]
    because = (*changes(item for item in found if item not in beside), *map(_shared_rows, beside))
    return Run(stage=stage.name, because=because or _in_order(record, stage.record), after=follows, is_new=False)


def _is_told(path: Keys, earlier: Iterable[Run]) -> bool:
    """Whether a difference in a stage of `pretrain` was reported at that stage."""
    return path[:1] == ("pretrain",) and any(
        re.match(rf"pretrain-{path[1]}(-|$)", run.stage) and (run.because or run.is_new) for run in earlier
    )


def _is_beside(path: Keys, head: str) -> bool:
    """Whether a difference in the record of a head's rows only means that another head reads those rows too."""
    return len(path) == 2 and path[0] == "tasks" and path[1] != head


def _shared_rows(difference: Difference) -> Change:
    (_, head), old, new = difference
    text = f"its rows are {'' if old is None else 'no longer '}read for {clean(head)} too"
    return Change(field=f"heads.{head}.data", old=old, new=new, text=text)


def _in_order(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[Change, ...]:
    """The change of the heads' order, if nothing else differs: heads are initialised in that order."""
    names = [list(record.get("tasks") or ()) for record in (old, new)]
    if names[0] == names[1]:
        return ()
    text = f"heads in another order: {spelt(names[0])} → {spelt(names[1])}"
    return (Change(field="heads", old=names[0], new=names[1], text=text),)


def _with_names(record: Iterable[Difference], whole: Iterable[Difference]) -> Iterator[Difference]:
    """Differences of a record, with those of tables replaced by the plans' own, which have the tables' paths.

    Records hold no paths of tables, because paths change no result.
    """
    for path, old, new in record:
        named = [difference for difference in whole if path[-1:] == ("tables",) and difference[0][: len(path)] == path]
        yield from named or [(path, old, new)]


def _decided(plan: Plan) -> Any:
    whole = portable(plan).model_dump(mode="json", exclude={"estimates", "pins"})
    return whole | {"pretrain": {str(number): phase for number, phase in enumerate(whole.get("pretrain", ()), 1)}}


def _without_text(whole: Iterable[Difference]) -> list[Difference]:
    """The differences without those in the spec's text, unless there are no others."""
    found = list(whole)
    decided = [difference for difference in found if difference[0][0] != "spec"]
    return decided or found


def _weights(old: Files, new: Files) -> tuple[tuple[str, str], tuple[str, ...]]:
    """Hashes of both sides' weights; unknown ones count as equal, with a note."""
    if old.weights and new.weights:
        return (old.weights, new.weights), ()
    if old.same is not None and old.same == new.same:
        return ("", ""), ()
    return ("", ""), (UNKNOWN,)


def _shared(old: Files, new: Files) -> tuple[tuple[str, str], tuple[str, str]]:
    """Hashes of both sides' other files and licence; unknown ones count as equal."""
    pairs = [
        (a, b) if a is not None and b is not None else ("", "")
        for a, b in ((old.assets, new.assets), (old.licence, new.licence))
    ]
    return (pairs[0][0], pairs[1][0]), (pairs[0][1], pairs[1][1])
