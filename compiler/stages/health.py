"""Examines a finished training: its losses and norms, and the model's scores beside its floors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from ...runtime.rows import Outputs
from ..contracts.stage import Stage
from ..execution.prepared import Examples, Prepared, read_outputs
from ..execution.work import Work, stage_name
from ..export.bootstrap import standard_error
from ..health.rules import FEW, findings
from ..health.seen import Answers, Training
from ..planning.plan import Plan, TaskPlan
from ..planning.split import generator
from ..training.optimisation import schedule
from ..training.validation import direction

Json = dict[str, Any]


def run(work: Work) -> None:
    """Writes `findings.json`, a list of `health.Finding` as JSON."""
    floors = {task.name: _floors(work, task) for task in work.plan.tasks}
    training = _training(work, floors)
    answers = [
        _answers(work, task, floors[task.name], training) for task in work.plan.tasks if task.split("validation")
    ]
    found = findings(training, [each for each in answers if each.metric])
    (work.out / "findings.json").write_text(json.dumps([each.plain() for each in found]))


def _floors(work: Work, task: TaskPlan) -> Json:
    folder = work.inputs.get(stage_name("floor", task.name))
    return json.loads((folder / "floors.json").read_bytes()) if folder else {}


def _training(work: Work, floors: Mapping[str, Json]) -> Training:
    plan, folder = work.plan, work.inputs["train"]
    history = json.loads((folder / "history.json").read_bytes())
    losses, norms = np.load(folder / "losses.npy"), np.load(folder / "norms.npy")
    factor = schedule(plan) if len(losses) else None
    rates = np.array([factor(step) for step in range(len(losses))]) if factor else np.zeros(0)
    heads = [task.head.variant for task in plan.tasks if task.metric]
    validation = [task.split("validation") for task in plan.tasks]
    return Training(
        losses=losses,
        norms=norms,
        rates=rates,
        epochs=history["epochs"],
        best_epoch=history["best_epoch"],
        metric=plan.train.metric,
        direction=direction(plan),
        validation_rows=min((split.rows for split in validation if split), default=0),
        max_grad_norm=plan.train.max_grad_norm,
        untrained=_untrained(plan, floors),
        is_fitted=bool(plan.fitted),
        before=history.get("start", {}),
        can_fit=[task.name for task in plan.tasks if _can_fit(plan, task)],
        starts_random=not any(head.in_batch_negatives or head.condense for head in heads),
        has_one_set=len(plan.train.sets) == 1,
        has_backbone=not plan.backbone.is_frozen and not any(head.condense for head in heads),
    )


def _can_fit(plan: Plan, task: TaskPlan) -> bool:
    """Whether a head was drawn at random that could have been fitted before the first step."""
    is_convex = task.head.variant.convex is not None and not task.head.record.get("hidden")
    return task.head.start != "fitted" and is_convex and plan.method.variant.starts_untouched


def _untrained(plan: Plan, floors: Mapping[str, Json]) -> float | None:
    """The weighted loss of constant answers of all tasks; None where a task has none."""
    own = [(task.weight, floors[task.name].get("untrained")) for task in plan.tasks if task.metric]
    known = [weight * loss for weight, loss in own if loss is not None]
    return sum(known) if len(known) == len(own) and known else None


def _answers(work: Work, task: TaskPlan, floors: Json, training: Training) -> Answers:
    """The model's and the floors' answers to a task's validation rows."""
    examples = Prepared(work.prepared(task, "validation")).examples()
    outputs = read_outputs(work.inputs["evaluate"] / f"{task.named('validation')}.npz")
    calibrated = json.loads((work.inputs["evaluate"] / "calibrated.json").read_bytes())
    record = task.head.record.plain() | calibrated[task.name]
    found: Json = {"head": task.name, "metric": task.metric, "rows": len(examples)}
    if not task.metric:
        return Answers(**found)
    found |= _spoken(task, record, outputs, examples)
    if floors:
        found |= _compared(work, task, floors, record, outputs, examples)
        found |= {"tells": floors["tells"], "learned": _learned(work.plan, floors, training)}
    return Answers(**found)


def _learned(plan: Plan, floors: Json, training: Training) -> float | None:
    """The model's least validation loss relative to a constant answer's; None with several tasks."""
    losses = [epoch["validation_loss"] for epoch in training.epochs if "validation_loss" in epoch]
    if len(plan.tasks) > 1 or not losses or not floors.get("untrained"):
        return None
    return min(losses) / float(floors["untrained"])


def _spoken(task: TaskPlan, record: Json, outputs: Outputs, examples: Examples) -> Json:
    """Labels that are never answered though many rows have them, and the most frequent answer."""
    answered = task.head.variant.metrics.answered
    if answered is None:
        return {}
    tally = answered(record, outputs, examples)
    unused = {label: true for label, (given, true) in tally.items() if not given and true >= FEW}
    total, rows = sum(given for given, _ in tally.values()), len(examples)
    label = max(tally, key=lambda word: tally[word][0], default="")
    if not unused or total != rows:
        return {"unused": unused}
    return {"unused": unused, "commonest": (label, tally[label][0] / rows, tally[label][1] / rows)}


def _compared(work: Work, task: TaskPlan, floors: Json, record: Json, outputs: Outputs, examples: Examples) -> Json:
    """The best floor beside the model, and whether the model is below it by more than one standard error."""
    metrics, name = task.head.variant.metrics, task.metric
    sign = metrics.direction(name)
    scores = {floor: found.get(name) for floor, found in floors["scores"].get("validation", {}).items()}
    known = {floor: value for floor, value in scores.items() if value is not None}
    ours = metrics.one(name, record, outputs, examples)
    if not known or ours is None:
        return {}
    best = max(known, key=lambda floor: sign * known[floor])
    found: Json = {"floor": best, "value": known[best], "model": ours, "lead": sign * (ours - known[best])}
    if sign * (known[best] - ours) <= 0:
        return found
    folder = work.inputs[stage_name("floor", task.name)]
    theirs = read_outputs(folder / f"{list(floors['names']).index(best)}.npz")
    pairs = ((record, outputs), (task.head.record.plain() | floors["calibrated"][best], theirs))
    # a difference of one row is no evidence
    error = standard_error(metrics, name, pairs, examples, generator(work.plan.seed, "floor"))
    return found | {"error": error, "is_below": sign * (known[best] - ours) > max(error, 1 / len(examples))}


STAGE = Stage(run=run)
