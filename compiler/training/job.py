"""A training job as a file: the plan, the folders that it reads, and the folder of its results."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from ..frozen import Frozen
from ..planning.plan import Phase, Plan, PretrainPlan, TaskPlan
from ..store.store import write_atomically


class SplitRows(Frozen):
    """The folders of one split of a task."""

    task: str
    split: str
    prepared: Path  # the folder that the stage `prepare` writes
    cached: Path | None = None  # the folder of cached features or states, None for none


class Job(Frozen):
    """A training job: `loop.train` gives bit-identical results for it in any process.

    Its paths are of this machine, so a job is not meant to be kept; the plan is.
    """

    plan: Plan | PretrainPlan | Phase
    backbone: Path  # the folder of the pretrained weights
    rows: tuple[SplitRows, ...]
    heads: Path | None = None  # a safetensors file of heads fitted before, maybe with `fit.json` beside it
    scores_start: bool = False  # whether these heads are scored before the first step, as epoch 0
    resume: Path  # the folder of the checkpoint; training continues from one that lies there
    out: Path  # the folder of the results
    device: str  # torch's name of the device
    threads: int  # threads of torch on a CPU

    def prepared(self, task: TaskPlan, split: str) -> Path:
        """The folder of a split's prepared rows; raises KeyError where the job has none."""
        return self._rows(task, split).prepared

    def cached(self, task: TaskPlan, split: str) -> Path | None:
        """The folder of a split's cached features or states, None where there are none."""
        return self._rows(task, split).cached

    def _rows(self, task: TaskPlan, split: str) -> SplitRows:
        for each in self.rows:
            if (each.task, each.split) == (task.name, split):
                return each
        raise KeyError(f"the job has no rows of {task.name!r}, {split}")

    def write(self, path: Path) -> None:
        """Writes the job as JSON, atomically."""
        text = self.model_dump_json()
        write_atomically(path, lambda staged: staged.write_text(text, encoding="utf-8"))

    @classmethod
    def read(cls, path: Path) -> Job:
        """Reads a job from its file; raises OSError, and ValueError for a file that is no job of this graftc."""
        try:
            return cls.model_validate_json(path.read_bytes())
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise ValueError(f"{path} is no job: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
