"""Decides which floors a task is scored against, and for which splits the untouched backbone runs for them."""

from __future__ import annotations

from .plan import Phase, TaskPlan

# one row may be read for a floor for every SHARE rows of training, where a step costs three forward passes
SHARE = 20
SCORED = ("validation", "test")


def has_floor(task: TaskPlan) -> bool:
    """Whether a task has a score and a floor to compare it with."""
    return bool(task.metric) and task.head.variant.floors is not None and any(map(task.split, SCORED))


def vectors(task: TaskPlan) -> str:
    """What a head's floors take of the untouched backbone: features, `cached` or `apart`, `untuned` outputs, or none."""
    return task.head.variant.floor_features


def untuned(task: TaskPlan) -> tuple[str, ...]:
    """The splits that the network answers for a floor before any training."""
    is_asked = has_floor(task) and vectors(task) == "untuned" and not task.head.record["is_new"]
    return tuple(name for name in SCORED if task.split(name)) if is_asked else ()


def untouched(plan: Phase, task: TaskPlan) -> tuple[str, ...]:
    """The splits for which the untouched backbone runs for a floor: those that are small beside the training."""
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
