"""Computes the features of a fully frozen backbone once, for every row of a split."""

from __future__ import annotations

import numpy as np
import torch

from ..execution.prepared import Prepared
from ..execution.work import Work
from ..networks.assembly import assemble
from ..networks.batches import arrays, by_length
from .prepare import preprocessor

BATCH = 64


def run(work: Work) -> None:
    """Writes `features.npy` of shape (rows, width), fp32."""
    graft = assemble(work.plan, work.backbone).to(work.machine.device)
    processor = preprocessor(work.plan, work.backbone)
    task = work.task
    rows = Prepared(work.prepared(task, work.split))
    features = np.zeros((rows.rows, work.plan.backbone.width), np.float32)
    torch.set_num_threads(work.machine.threads)
    with work.progress.steps("features", rows.rows) as advance, torch.inference_mode():
        for chosen in by_length(rows, BATCH):
            batch = arrays(processor.collate([rows.row(i) for i in chosen]), work.machine.device)
            features[chosen] = graft.features(batch, [task.name])[task.name].float().cpu().numpy()
            advance(len(chosen))
    np.save(work.out / "features.npy", features)
