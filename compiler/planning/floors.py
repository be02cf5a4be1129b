"""What a task is held against besides its own scores, and where the untouched backbone is asked for it."""

from __future__ import annotations

from .plan import Phase, TaskPlan

SHARE = 20  # of the rows that training reads, one in so many may be read for a floor: a step costs three forward passes
SCORED = ("validation", "test")


def has_floor(task: TaskPlan) -> bool:
    """Whether there is something to score and something to hold the scores against."""
    return bool(task.metric) and task.head.variant.floors is not None and any(map(task.split, SCORED))


def vectors(task: TaskPlan) -> str:
    """Which features of the untouched backbone a head's floors take: `cached`, `apart`, or none."""
    return task.head.variant.floor_features


def untouched(plan: Phase, task: TaskPlan) -> tuple[str, ...]:
    """The splits that the untouched backbone answers for a head that wants it: those that are small beside the training."""
    if vectors(task) != "apart":
        return ()
    most = plan.train.steps * plan.train.batch_size // SHARE
    found: list[str] = []
    for name in SCORED:  # validation first: it says how good the model is beside its floor
        split = task.split(name)
        if split and split.rows <= most:
            found.append(name)
            most -= split.rows
    return tuple(found)
