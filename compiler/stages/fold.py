"""Computes once, for every row of a split, what nothing in training can change."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch

from ..execution.kept import Keeper
from ..execution.prepared import Prepared
from ..execution.work import Work
from ..networks.assembly import assemble
from ..networks.batches import arrays, by_length
from ..networks.memory import Parts
from .prepare import preprocessor

BATCH = 64


def run(work: Work) -> None:
    """Writes features (rows, width) of a frozen backbone, or the states (tokens, width) that frozen layers hand on."""
    graft = assemble(work.plan, work.backbone).to(work.machine.device)
    processor, task = preprocessor(work.plan, work.backbone), work.task
    rows = Prepared(work.prepared(task, work.split))
    prefix = next(iter(graft.prefixes.values()), None)  # beneath all that learns, so that any adapter's will do
    lengths = rows.lengths() if prefix else None
    keeper = Keeper(work.out, rows.rows, work.plan.backbone.width, lengths)
    torch.set_num_threads(work.machine.threads)
    parts = Parts()

    def keep(chosen: np.ndarray, parts: int) -> None:
        for part in np.array_split(chosen, parts):
            batch = arrays(processor.collate([rows.row(i) for i in part]), work.machine.device)
            if prefix:
                found = prefix.states({name: batch[name] for name in graft.inputs})
            else:
                found = graft.features(batch, [task.name])[task.name]
            keeper.put(part, found.float().cpu().numpy())

    with work.progress.steps("features", rows.rows) as advance, torch.inference_mode():
        for chosen in by_length(rows, BATCH):
            parts.fit(len(chosen), partial(keep, chosen))
            advance(len(chosen))
    keeper.close()
