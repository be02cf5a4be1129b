"""Phases in which only a head learns, before the training that the plan describes."""

from __future__ import annotations

from ..frozen import Json
from .plan import MethodPlan, Phase, Plan, PretrainPlan, TaskPlan, TrainPlan


def of_stage(stage: PretrainPlan) -> Phase:
    """The phase that trains a language-model head that the checkpoint lacks."""
    assert stage.fit is not None
    return _still(stage, stage.tasks, stage.fit)


def of_heads(plan: Plan) -> Phase:
    """The phase that fits heads before the first step: to features of the untouched backbone, without augmentation."""
    tasks = tuple(
        task.model_copy(update={"data": task.data.model_copy(update={"augment": None}), "adapt": "shared"})
        for task in plan.fitted
    )
    train = plan.train.model_copy(update={"fold": "feature", "fold_views": 1, "fold_precision": "fp32"})
    return _still(plan, tasks, train)


def untouched(plan: Phase) -> Phase:
    """The phase in which the backbone and its language model are as the training finds them, and nothing learns."""
    train = plan.train.model_copy(update={"fold": "none", "fold_views": 1, "fold_precision": "fp32"})
    return _still(plan, plan.tasks, train)


def fitted_to(is_pretrained: bool) -> str:
    """Which backbone's features heads are fitted to, in words."""
    return "the backbone as `pretrain` leaves it" if is_pretrained else "the untouched backbone"


def _still(phase: Phase, tasks: tuple[TaskPlan, ...], train: TrainPlan) -> Phase:
    """A copy of a phase in which the whole backbone is frozen and nothing is added to it."""
    still = tuple(t.model_copy(update={"state": "frozen"}) for t in phase.backbone.tensors if t.state != "added")
    frozen = phase.backbone.model_copy(update={"tensors": still, "inference": ("",), "is_frozen": True})
    probe = MethodPlan(method="probe", record=Json({}))
    return Phase(seed=phase.seed, backbone=frozen, method=probe, tasks=tasks, train=train)
