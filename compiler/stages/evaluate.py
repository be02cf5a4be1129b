"""Scores the trained network in torch, and lets validation decide what is left to decide."""

from __future__ import annotations

import json

import torch

from .. import variants
from ..execution.prepared import write_outputs
from ..execution.work import Work
from ..networks.assembly import remember
from ..networks.batches import Rows, outputs_of
from .prepare import preprocessor


def run(work: Work) -> None:
    """Writes `<split>.npz` (outputs), `metrics.json` and `calibrated.json` (what replaces fields of the head's record)."""
    plan = work.plan
    torch.set_num_threads(work.machine.threads)
    graft = remember(work.memory, plan, work.backbone, work.inputs["train"]).to(work.machine.device)
    head = variants.load("heads", plan.head.type)
    metrics = variants.load("metrics", head.METRICS)
    processor = preprocessor(plan, work.backbone)
    record = plan.head.record.plain()
    calibrated: dict[str, object] = {}
    scores = {}
    for name in ("validation", "test"):
        if plan.split(name) is None:
            continue
        rows = Rows(work, name, processor, work.machine.device)
        outputs = outputs_of(graft, rows)
        write_outputs(work.out / f"{name}.npz", outputs)
        examples = rows.prepared.examples()
        if name == "validation":
            calibrated = metrics.calibrate(record, outputs, examples)
            record |= calibrated
        scores[name] = metrics.report(record, outputs, examples)
    (work.out / "calibrated.json").write_text(json.dumps(calibrated))
    (work.out / "metrics.json").write_text(json.dumps(scores))
