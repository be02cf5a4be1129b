"""A training as a file: what is to be trained, where all that it reads lies, and where its results go."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from ..frozen import Frozen
from ..planning.plan import Phase, Plan, PretrainPlan, TaskPlan
from ..store.store import write_atomically


class SplitRows(Frozen):
    """The folders of a split of a task."""

    task: str
    split: str
    prepared: Path  # as the stage `prepare` writes it
    cached: Path | None = None  # cached features or states, None where there are none


class Job(Frozen):
    """All that a training needs: `loop.train` gives the same results for it in any process, to the bit.

    Its paths are of this machine, so a job is for now; what lasts is the plan.
    """

    plan: Plan | PretrainPlan | Phase
    backbone: Path  # the folder of the pretrained weights
    rows: tuple[SplitRows, ...]
    heads: Path | None = None  # a safetensors file of heads that were fitted alone before; `fit.json` may lie beside it
    scores_start: bool = False  # whether these heads are scored before the first step, as an epoch 0 that can be kept
    resume: Path  # the folder of the checkpoint, which is gone on from where an earlier attempt left one
    out: Path  # the folder of the results
    device: str  # as torch names it
    threads: int  # of torch, on a CPU

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
        """Writes the job as JSON, in one step."""
        text = self.model_dump_json()
        write_atomically(path, lambda staged: staged.write_text(text, encoding="utf-8"))

    @classmethod
    def read(cls, path: Path) -> Job:
        """What `write` wrote; raises OSError, or ValueError for a file that is no job of this graftc."""
        try:
            return cls.model_validate_json(path.read_bytes())
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise ValueError(f"{path} is no job: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
