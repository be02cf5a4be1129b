"""The stages of a plan as data: their keys, and which have to run; imports no torch."""

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
    """A stage, which fills its folder.

    `record` holds every part of the plan that its output depends on. `stages/<module>.py` runs it, maybe once for each
    split of each task.
    """

    module: str
    format: int  # incremented when the stage's code changes the output of the same record
    record: Mapping[str, Any]
    inputs: tuple[str, ...]  # names of stages
    libraries: tuple[str, ...]
    task: str = ""
    split: str = ""
    is_numeric: bool = True  # whether device and threads matter
    resumes: bool = False
    phase: str = ""  # `pretrain-1` …, `retain`; empty for the supervised phase
    is_fit: bool = False  # whether only the head of the phase is trained or fitted
    below: str = ""  # the stage that made the backbone; empty for the spec's backbone
    rows_of: tuple[str, ...] = ()  # inputs of which it reads only arrays of rows, not targets

    @property
    def name(self) -> str:
        """The unique name of the stage in its plan: `train`, `prepare-test` …"""
        name = stage_name(self.module, self.task, self.split, self.phase)
        return fitting(name) if self.is_fit else name


LEARNS = re.compile(r"train|pretrain-\d+(-head)?")  # names of stages that train weights, the costly ones
# stages whose output affects no other, so that their keys are no part of other keys
SILENT = frozenset({"rehearse"})


def keys(found: tuple[Stage, ...], machine: Machine) -> dict[str, str]:
    """The key of every stage by name; equal keys mean equal outputs."""
    known: dict[str, str] = {}
    for stage in found:
        known[stage.name] = digest(made_of(stage, known, machine))
    return known


def made_of(stage: Stage, known: Mapping[str, str], machine: Machine) -> dict[str, Any]:
    """The values whose hash is the key of a stage; `known` has the keys of its inputs."""
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
    """A hash that stages share if they compute the same output, whatever their task, table and labels are called.

    `arrays` returns the hashes of the row arrays in a finished stage. None for stages that can't share outputs.
    """
    read = [arrays(name) for name in stage.rows_of]
    if not read or not all(read):
        return None
    made = made_of(stage, known, machine)
    inputs = {name: key for name, key in made["inputs"].items() if name not in stage.rows_of}
    record = {**stage.record, "tasks": list(stage.record["tasks"].values())}  # without the names of tasks
    return digest({**made, "stage": stage.module, "record": record, "inputs": inputs, "rows": read})


def needed(found: tuple[Stage, ...], is_done: Callable[[Stage], bool]) -> frozenset[str]:
    """Names of the stages that have to run: a stage whose output exists needs none of its inputs."""
    missing: set[str] = set()
    wanted = {found[-1].name}
    for stage in reversed(found):
        if stage.name in wanted and not is_done(stage):
            missing.add(stage.name)
            wanted.update(stage.inputs)
    return frozenset(missing)
