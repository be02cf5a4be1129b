"""What two plans cost, side by side."""

from __future__ import annotations

from ..frozen import Frozen
from ..planning.plan import Plan

BYTES = ("memory", "disk", "fp32 graph")


class Cost(Frozen):
    """One cost of both plans: a count, or bytes where `is_bytes`."""

    name: str
    old: int
    new: int
    is_bytes: bool


def costs(old: Plan, new: Plan) -> tuple[Cost, ...]:
    """Parameters, bytes and work, those that differ and those that don't."""
    before, after = _counts(old), _counts(new)
    return tuple(Cost(name=name, old=before[name], new=after[name], is_bytes=name in BYTES) for name in before)


def _counts(plan: Plan) -> dict[str, int]:
    estimates = plan.estimates
    return {
        "parameters": estimates.parameters,
        "trainable": estimates.trainable,
        "memory": estimates.memory_bytes,
        "disk": estimates.disk_bytes,
        "fp32 graph": estimates.onnx_bytes,
        "steps": plan.train.steps,
        "training rows through the backbone": _passes(plan),
    }


def _passes(plan: Plan) -> int:
    """How often the backbone sees a training row: once each where its features are kept, else in every epoch."""
    rows = sum(train.rows for task in plan.tasks if (train := task.split("train")))
    return rows if plan.train.fold == "feature" else round(rows * plan.train.steps / max(1, plan.train.steps_per_epoch))
