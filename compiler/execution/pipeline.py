"""Units of execution, the key of each, and which of them have to run; no torch here."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..machine import Machine, versions
from ..store.hashes import digest
from .work import fitting, stage_name


@dataclass(frozen=True)
class Stage:
    """A unit of execution, which fills its folder; `record` is all of the plan that it depends on, under the plan's keys.

    `stages/<module>.py` runs it, once for each split of each task where there are these.
    """

    module: str
    format: int  # raised when the stage's code gives another output for the same record
    record: Mapping[str, Any]
    inputs: tuple[str, ...]  # names of stages
    libraries: tuple[str, ...]
    task: str = ""
    split: str = ""
    is_numeric: bool = True  # whether device and threads matter
    resumes: bool = False
    phase: str = ""  # of the plan: `pretrain-1` …, `retain`, empty for the supervised one
    is_fit: bool = False  # of a phase: its head alone
    below: str = ""  # the stage that made the backbone, empty for the one that the spec names
    rows_of: tuple[str, ...] = ()  # inputs of which it reads the arrays of rows alone, no targets

    @property
    def name(self) -> str:
        """`train`, `prepare-test` …: unlike that of every other stage of a plan."""
        name = stage_name(self.module, self.task, self.split, self.phase)
        return fitting(name) if self.is_fit else name


LEARNS = re.compile(r"train|pretrain-\d+(-head)?")  # stages in which weights are learnt: the costly ones
# the rehearsal's outcome changes no other output, so its key stays out of theirs
SILENT = frozenset({"rehearse"})


def keys(found: tuple[Stage, ...], machine: Machine) -> dict[str, str]:
    """The key of every stage: equal keys mean equal outputs."""
    known: dict[str, str] = {}
    for stage in found:
        known[stage.name] = digest(made_of(stage, known, machine))
    return known


def made_of(stage: Stage, known: Mapping[str, str], machine: Machine) -> dict[str, Any]:
    """What the key of a stage is a hash of; `known` has the keys of its inputs."""
    return {
        "stage": stage.name,
        "format": stage.format,
        "record": stage.record,
        "inputs": {name: known[name] for name in stage.inputs if name not in SILENT},
        "versions": versions(stage.libraries),
        "machine": {"device": machine.device, "threads": machine.threads} if stage.is_numeric else {},
    }


def content_key(
    stage: Stage, known: Mapping[str, str], machine: Machine, arrays: Callable[[str], Mapping[str, Any]]
) -> str | None:
    """A hash that stages of one kind share where they give the same output, whatever their task, table and labels are.

    `arrays` has the hashes of the arrays that a finished stage holds of its rows. None where a key alone can tell.
    """
    read = [arrays(name) for name in stage.rows_of]
    if not read or not all(read):
        return None
    made = made_of(stage, known, machine)
    inputs = {name: key for name, key in made["inputs"].items() if name not in stage.rows_of}
    record = {**stage.record, "tasks": list(stage.record["tasks"].values())}  # whatever they are called
    return digest({**made, "stage": stage.module, "record": record, "inputs": inputs, "rows": read})


def needed(found: tuple[Stage, ...], is_done: Callable[[Stage], bool]) -> frozenset[str]:
    """From the end backwards: a stage whose output is there needs none of its inputs."""
    missing: set[str] = set()
    wanted = {found[-1].name}
    for stage in reversed(found):
        if stage.name in wanted and not is_done(stage):
            missing.add(stage.name)
            wanted.update(stage.inputs)
    return frozenset(missing)
