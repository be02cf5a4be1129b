"""What a stage gets to work with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..planning.plan import Plan
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
    split: str = ""  # of the data, for a stage that runs once for each

    def prepared(self, split: str) -> Path:
        """The folder of a split's prepared rows."""
        return self.inputs[f"prepare-{split}"]

    def folded(self, split: str) -> Path | None:
        """The file of a split's features, None where the backbone is not folded."""
        folder = self.inputs.get(f"fold-{split}")
        return folder / "features.npy" if folder else None
