"""The arguments of a stage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..machine import Machine
from ..planning.plan import Plan, TaskPlan
from .progress import Progress


@dataclass
class Work:
    """A stage's plan, folders and machine."""

    plan: Plan
    root: Path  # the folder that the plan's data paths are relative to
    backbone: Path
    machine: Machine
    inputs: Mapping[str, Path]  # folders of finished stages, by name
    out: Path
    progress: Progress
    memory: dict[str, Any] = field(default_factory=dict)  # models that later stages of this process reuse
    split: str = ""  # the split, for a stage that runs once for each split of each task
    name: str = ""  # the task
    phase: str = ""  # `pretrain-1` …, in which case `plan` is that phase; empty for the supervised phase
    origin: Path = Path()  # the folder of the spec's backbone; `backbone` may be one that a phase made

    @property
    def task(self) -> TaskPlan:
        """The task of a stage that runs once for each task."""
        return self.plan.task(self.name)

    def prepared(self, task: TaskPlan, split: str) -> Path:
        """The folder of a split's prepared rows, with their reference scores where the stage reads these."""
        names = [
            stage_name(REFERENCE, task.name, split, self.phase),
            stage_name("prepare", task.name, split, self.phase),
            stage_name("prepare", task.name, split),  # the rows of a head
        ]
        return next(self.inputs[name] for name in names if name in self.inputs)

    @property
    def fitted(self) -> Path | None:
        """The file of heads that were trained or fitted before this phase; None for none."""
        folder = self.inputs.get(f"{self.phase}-head" if self.phase else FIT)
        return folder / "learned.safetensors" if folder else None

    def cached(self, task: TaskPlan, split: str) -> Path | None:
        """The folder of a split's cached features or states; None for none."""
        return self.inputs.get(stage_name("features", task.name, split))

    def features(self, task: TaskPlan) -> Path:
        """The folder of the untouched backbone's features of training rows."""
        name = stage_name("features", task.name, "train")
        return self.inputs[name if name in self.inputs else fitting(name)]


REFERENCE = "reference"  # the stage in which the untouched backbone scores rows
FIT = "fit"  # the stage in which heads are fitted before the first step


def fitting(name: str) -> str:
    """The name of a stage that works for a fit only.

    >>> fitting("features-train")
    'features-train-head'
    """
    return f"{name}-head"


def stage_name(module: str, task: str = "", split: str = "", phase: str = "") -> str:
    """The name of a stage: `train`, `prepare-test`, `prepare-intent-test`, `pretrain-1-prepare-test`.

    >>> stage_name("train", phase="pretrain-1")
    'pretrain-1'
    """
    return "-".join(filter(None, (phase, "" if phase and module == "train" else module, task, split)))
