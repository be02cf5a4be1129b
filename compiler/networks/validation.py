"""Scores a network on validation rows while it trains, and says which way is better."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .. import variants
from ..planning.plan import MEAN, Phase, TaskPlan
from .batches import Rows, loss_of, outputs_of
from .graft import Graft


def validated(graft: Graft, splits: Iterable[Rows], plan: Phase) -> dict[str, float]:
    """The loss over the validation rows of all tasks, the metric of each, and what picks the best epoch.

    That is one of these metrics, or their mean by the tasks' weights, those of which less is better counted below zero.
    Empty without validation rows.
    """
    found: dict[str, float] = {}
    loss = signed = weights = 0.0
    for rows in splits:
        task, outputs = rows.task, outputs_of(graft, rows)
        metrics = metrics_of(task)
        value = metrics.one(task.metric, task.head.record, outputs, rows.prepared.examples())
        loss += task.weight * loss_of(outputs, rows, plan.train.batch_size)
        signed, weights = signed + task.weight * metrics.direction(task.metric) * value, weights + task.weight
        found |= {"validation_loss": round(loss, 6), task.named(task.metric): value}
    return found | {MEAN: signed / weights} if found and plan.train.metric == MEAN else found


def direction(plan: Phase) -> int:
    """1 where a higher value of what picks the best epoch is better, -1 where a lower one is."""
    named = {task.named(task.metric): int(metrics_of(task).direction(task.metric)) for task in plan.tasks}
    return named.get(plan.train.metric, 1)


def metrics_of(task: TaskPlan) -> Any:
    """The module that scores a task's answers."""
    return variants.load("metrics", variants.load("heads", task.head.type).METRICS)
