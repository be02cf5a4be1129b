"""Scores the trained network in torch, and calibrates thresholds and the like on validation rows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import torch

from ..contracts.stage import Stage
from ..execution.prepared import write_outputs
from ..execution.preprocessing import preprocessor
from ..execution.work import Work
from ..model.assembly import remember
from ..training.loaders import Rows
from ..training.validation import first, refuse_unlike
from ..training.writing import scored_outputs

SCORED = ("validation", "test")


def run(work: Work) -> None:
    """Writes the outputs of each task's splits (`validation.npz` …), `metrics.json` and `calibrated.json`.

    `calibrated.json` holds by task the fields that replace those of its head's record.
    """
    plan = work.plan
    torch.set_num_threads(work.machine.threads)
    network = remember(work.memory, plan, work.backbone, work.inputs["train"]).to(work.machine.device)
    processor = preprocessor(plan, work.backbone)
    calibrated: dict[str, Mapping[str, Any]] = {task.name: {} for task in plan.tasks}
    scores: dict[str, dict[str, Any]] = {}
    for split, task in ((split, task) for split in SCORED for task in plan.tasks if task.split(split)):
        rows = Rows(work, task, split, processor, work.machine.device)
        if rows.cache:
            refuse_unlike(network, rows, first(rows, plan.train.batch_size))
        with work.progress.steps(f"answers of {split}", len(rows)) as advance:
            outputs = scored_outputs(network, plan, rows, split, advance)
        write_outputs(work.out / f"{task.named(split)}.npz", outputs)
        metrics, examples = task.head.variant.metrics, rows.prepared.examples()
        if split == "validation":
            calibrated[task.name] = metrics.calibrate(task.head.record.plain(), outputs, examples)
        record = {**task.head.record.plain(), **calibrated[task.name]}
        found = metrics.report(record, outputs, examples)
        scores.setdefault(split, {}).update({task.named(name): value for name, value in found.items()})
    (work.out / "calibrated.json").write_text(json.dumps(calibrated))
    (work.out / "metrics.json").write_text(json.dumps(scores))


STAGE = Stage(run=run)
