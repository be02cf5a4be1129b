"""Computes the features of a fully frozen backbone once, for every row."""

from __future__ import annotations

import numpy as np
import torch

from ..execution.executor import Work
from ..execution.prepared import Prepared
from ..networks.assembly import assemble
from ..networks.batches import arrays, by_length
from .prepare import preprocessor

BATCH = 64


def run(work: Work) -> None:
    """Writes `<split>.npy` of shape (rows, width), fp32."""
    graft = assemble(work.plan, work.backbone).to(work.machine.device)
    processor = preprocessor(work.plan, work.backbone)
    splits = {split.name: Prepared(work.inputs["prepare"] / split.name) for split in work.plan.data.splits}
    torch.set_num_threads(work.machine.threads)
    with work.progress.steps("features", sum(map(len, splits.values()))) as advance, torch.inference_mode():
        for name, rows in splits.items():
            features = np.zeros((len(rows), work.plan.backbone.width), np.float32)
            for chosen in by_length(rows, BATCH):
                batch = arrays(processor.collate([rows.row(i) for i in chosen]), work.machine.device)
                features[chosen] = graft.feature(batch).float().cpu().numpy()
                advance(len(chosen))
            np.save(work.out / f"{name}.npy", features)
