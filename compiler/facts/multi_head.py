"""Gathers the facts of several heads on one backbone: each head by itself, then what they share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..boundary import OPEN, Boundary
from ..diagnostics import Status
from ..language.heads import placed
from ..language.spec import Draft
from .answered import patterns
from .facts import Facts, Gathering
from .recorded import Known
from .task import look_at

# fields of preprocessing that one head adds for all
BESIDES = ("has_offsets", "is_masked", "mask_token", "mask_id", "special_ids")


def gather(
    spec: Draft, folder: Path, reference: str = "", known: Known | None = None, boundary: Boundary = OPEN
) -> Facts:
    """The facts of everything that the sound parts of a spec name; paths are relative to `folder`.

    Nothing outside of `boundary` is opened. `reference` is a pinned backbone in place of the spec's. With `known`, no
    data is read. Diagnostics are in the result's `found`; `status` says whether the machine is at fault.
    """
    gathering = Gathering(spec, folder, known, boundary=boundary)
    backbone = gathering.backbone(reference)
    if not spec.tasks:
        return look_at(gathering, backbone)
    heads = tuple(task.head_type for task in spec.tasks if task.head_type)
    tasks = [
        look_at(Gathering(task, folder, known and known.of(task.name), heads=heads, boundary=boundary), backbone)
        for task in spec.tasks
    ]
    found = list(gathering.found)
    for task, facts in zip(spec.tasks, tasks, strict=True):
        found += placed(facts.found, task.name, task.own, task.entry.metric is not None)
    status = next((each for each in (gathering.status, *(f.status for f in tasks)) if each != Status.FINE), Status.FINE)
    return Facts(
        backbone, {}, {}, None, {}, tuple(dict.fromkeys(found)), status, tasks=_alike(spec.tasks, tasks, known)
    )


def _alike(specs: Sequence[Draft], tasks: Sequence[Facts], known: Known | None) -> tuple[Facts, ...]:
    """The facts of several heads with one preprocessing, and with the numbers of rows for each set of heads."""
    records = [facts.preprocessing for facts in tasks if facts.preprocessing is not None]
    more = {key: record[key] for record in records for key in BESIDES if key in record}
    found = []
    shared = {spec.together for spec in specs if len(spec.together) > 1}
    counts = {names: known.among(names) if known else _patterns(names, specs, tasks) for names in shared}
    for spec, facts in zip(specs, tasks, strict=True):
        read = facts.preprocessing if facts.preprocessing is None else {**facts.preprocessing, **more}
        found.append(replace(facts, preprocessing=read, patterns=counts.get(spec.together, {})))
    return tuple(found)


def _patterns(names: Sequence[str], specs: Sequence[Draft], tasks: Sequence[Facts]) -> dict[tuple[str, ...], int]:
    """The number of training rows for each set of heads that have targets in them."""
    trains = {
        spec.name: facts.splits["train"]
        for spec, facts in zip(specs, tasks, strict=True)
        if spec.name in names and "train" in facts.splits
    }
    return patterns({name: train.answered for name, train in trains.items() if train.answered})
