"""Makes a training job of a stage's folders, and runs it in this process."""

from __future__ import annotations

from ..contracts.stage import Stage
from ..execution.work import Work
from ..training.job import Job, SplitRows
from ..training.loop import train


def run(work: Work) -> None:
    """Writes the files that `training.loop.train` writes."""
    train(job_of(work), work.progress)


def job_of(work: Work) -> Job:
    """The job of a stage; its folder holds the checkpoint of an earlier attempt."""
    rows = (
        SplitRows(
            task=task.name,
            split=split,
            prepared=work.prepared(task, split),
            cached=work.cached(task, split),
        )
        for task in work.plan.tasks
        for split in ("train", "validation")
        if task.split(split)
    )
    return Job(
        plan=work.plan,
        backbone=work.backbone,
        rows=tuple(rows),
        heads=work.fitted,
        scores_start=work.fitted is not None and not work.phase,
        resume=work.out,
        out=work.out,
        device=work.machine.device,
        threads=work.machine.threads,
    )


STAGE = Stage(run=run)
