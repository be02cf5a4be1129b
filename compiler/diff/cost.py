"""The costs of two plans, side by side."""

from __future__ import annotations

import math
from collections.abc import Iterable

from ..frozen import Frozen
from ..planning.feature_caching import depth
from ..planning.plan import BackbonePlan, Plan, TaskPlan, TrainPlan

BYTES = ("memory", "disk", "fp32 graph")


class Cost(Frozen):
    """One cost of both plans: a count, or bytes if `is_bytes`."""

    name: str
    old: int
    new: int
    is_bytes: bool


def costs(old: Plan, new: Plan) -> tuple[Cost, ...]:
    """Parameters, bytes and work of both plans, unchanged costs included."""
    before, after = _counts(old), _counts(new)
    return tuple(Cost(name=name, old=before[name], new=after[name], is_bytes=name in BYTES) for name in before)


def _counts(plan: Plan) -> dict[str, int]:
    estimates, trained = plan.estimates, _trainings(plan)
    return {
        "parameters": estimates.parameters,
        "trainable": estimates.trainable,
        "memory": estimates.memory_bytes,
        "disk": estimates.disk_bytes,
        "fp32 graph": estimates.onnx_bytes,
        "steps": sum(train.steps for _, train in trained),
        "training rows through the backbone": sum(_passes(plan.backbone, tasks, train) for tasks, train in trained),
    }


def _trainings(plan: Plan) -> list[tuple[tuple[TaskPlan, ...], TrainPlan]]:
    """Every training of a build: the stages of `pretrain`, each with its preceding head fit, and the supervised one."""
    stages = [(stage.tasks, train) for stage in plan.pretrain for train in (stage.fit, stage.train) if train]
    return [*stages, (plan.tasks, plan.train)]


def _passes(backbone: BackbonePlan, tasks: Iterable[TaskPlan], train: TrainPlan) -> int:
    """The number of forward passes of a training row through the backbone.

    Once per head if its features are cached, else once per epoch. Heads that learn from the same rows share a pass.
    Where only the lowest layers are cached, the layers above count by their share.
    """
    if train.fold == "feature":
        return train.fold_views * sum(rows.rows for task in tasks if (rows := task.split("train")))
    size = train.batch_size
    epoch = sum(part.rows * part.batches / max(1, math.ceil(part.rows / size)) for part in train.sets)
    every = epoch * train.steps / max(1, train.steps_per_epoch)
    share = train.cached_layers / depth(backbone) if train.cached_layers else 0.0
    return round(share * sum(part.rows for part in train.sets) + (1 - share) * every)
