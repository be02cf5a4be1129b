"""Phases in which a head alone learns, before the training that a plan has it for."""

from __future__ import annotations

from ..frozen import Json
from .plan import MethodPlan, Phase, Plan, PretrainPlan, TaskPlan, TrainPlan


def of_stage(stage: PretrainPlan) -> Phase:
    """The training of a language model's head that the checkpoint lacks."""
    assert stage.fit is not None
    return _still(stage, stage.tasks, stage.fit)


def of_heads(plan: Plan) -> Phase:
    """What heads are fitted to before the first step: the untouched backbone's features of training rows as they are."""
    tasks = tuple(
        task.model_copy(update={"data": task.data.model_copy(update={"augment": None}), "adapt": "shared"})
        for task in plan.fitted
    )
    train = plan.train.model_copy(update={"fold": "feature", "fold_views": 1, "fold_precision": "fp32"})
    return _still(plan, tasks, train)


def fitted_to(is_pretrained: bool) -> str:
    """The backbone whose features heads are fitted to, in words."""
    return "the backbone as `pretrain` leaves it" if is_pretrained else "the untouched backbone"


def _still(phase: Phase, tasks: tuple[TaskPlan, ...], train: TrainPlan) -> Phase:
    """A phase in which nothing of the backbone learns, and nothing is added to it."""
    still = tuple(t.model_copy(update={"state": "frozen"}) for t in phase.backbone.tensors if t.state != "added")
    frozen = phase.backbone.model_copy(update={"tensors": still, "inference": ("",), "is_frozen": True})
    probe = MethodPlan(method="probe", record=Json({}))
    return Phase(seed=phase.seed, backbone=frozen, method=probe, tasks=tasks, train=train)
