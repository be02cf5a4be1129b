"""What a stage gets to work with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..planning.plan import Plan, TaskPlan
from .machine import Machine
from .progress import Progress


@dataclass
class Work:
    """The plan, where things lie on this machine, and the folder to fill."""

    plan: Plan
    root: Path  # what the plan's data paths are relative to
    backbone: Path
    machine: Machine
    inputs: Mapping[str, Path]  # folders of finished stages, by name
    out: Path
    progress: Progress
    memory: dict[str, Any] = field(default_factory=dict)  # models that later stages of this process use again
    split: str = ""  # of the data, for a stage that runs once for each split of each task
    name: str = ""  # of the task

    @property
    def task(self) -> TaskPlan:
        """The task of a stage that runs once for each."""
        return self.plan.task(self.name)

    def prepared(self, task: TaskPlan, split: str) -> Path:
        """The folder of a split's prepared rows."""
        return self.inputs[stage_name("prepare", task.name, split)]

    def folded(self, task: TaskPlan, split: str) -> Path | None:
        """The folder of what a split's frozen work gave, None where nothing is folded."""
        return self.inputs.get(stage_name("fold", task.name, split))


def stage_name(module: str, task: str = "", split: str = "") -> str:
    """What a stage is called: `train`, `prepare-test`, `prepare-intent-test`."""
    return "-".join(filter(None, (module, task, split)))
