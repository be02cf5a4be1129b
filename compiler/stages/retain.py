"""Measures the backbone's own pretrained objective on a text, before all training and after."""

from __future__ import annotations

import json
from dataclasses import replace

import torch

from ..contracts.stage import Stage
from ..execution.preprocessing import preprocessor
from ..execution.work import Work
from ..model.assembly import assemble, remember, topped
from ..training.loaders import Rows
from ..training.validation import scored


def run(work: Work) -> None:
    """Writes `retain.json`: scores before and after; with several adapters, `after` is the one that retains least."""
    phase = work.plan.retain
    assert phase is not None
    torch.set_num_threads(work.machine.threads)
    network = remember(work.memory, work.plan, work.backbone, work.inputs["train"]).to(work.machine.device)
    processor = preprocessor(phase, work.origin)
    rows = Rows(replace(work, phase="retain"), phase.tasks[0], "test", processor, work.machine.device)
    before = scored(assemble(phase, work.origin).to(work.machine.device), rows)
    after = {
        adapter: scored(topped(phase, {"": backbone}, work.backbone).to(work.machine.device), rows)
        for adapter, backbone in network.backbones.items()
    }
    least = max(after, key=lambda adapter: float(after[adapter]["loss"]))
    found = {"objective": phase.tasks[0].head.type, "before": before, "after": after[least]}
    found |= {"adapters": after} if len(after) > 1 else {}
    (work.out / "retain.json").write_text(json.dumps(found))


STAGE = Stage(run=run)
