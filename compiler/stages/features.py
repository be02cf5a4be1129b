"""Caches the features of a split: outputs of frozen layers for each row, which training does not change."""

from __future__ import annotations

from itertools import product

import numpy as np

from ...runtime.rows import by_length
from ..contracts.stage import Stage
from ..execution.prepared import Prepared
from ..execution.preprocessing import preprocessor
from ..execution.work import Work
from ..features.cache import FeatureWriter
from ..model.assembly import assemble
from ..training.loaders import arrays, budget_on, views
from ..training.memory import cuts
from ..training.once import once

BATCH = 32  # rows; more are no faster on a CPU, and take memory


def run(work: Work) -> None:
    """Writes features (rows, width) of a frozen backbone, or states (tokens, width) of each row from frozen layers."""
    network = assemble(work.plan, work.backbone).to(work.machine.device)
    processor, task = preprocessor(work.plan, work.backbone), work.task
    rows = Prepared(work.prepared(task, work.split))
    prefix = next(iter(network.prefixes.values()), None)  # the same for every adapter, as nothing in it learns
    changed = views(work.plan, task, work.split)
    lengths = rows.lengths() if prefix else None  # cached states are of texts, which have one view
    budget, total = budget_on(work.machine.device, processor), rows.rows * len(changed)
    batches = list(product(range(len(changed)), by_length(rows.lengths(), BATCH, budget)))
    width, precision = work.plan.backbone.width, work.plan.train.fold_precision
    writer = FeatureWriter(work.out, total, width, lengths, precision, len(batches))

    def keep(number: int, chosen: np.ndarray, parts: int) -> None:
        for part in (chosen[cut] for cut in cuts(len(chosen), parts)):
            seen = changed[number]([rows.row(int(i)) for i in part], part)
            batch = arrays(processor.collate(seen), work.machine.device)
            if prefix:
                found = prefix.states({name: batch[array] for name, array in network.arguments.items()})
            else:
                found = network.features(batch, [task.name])[task.name]
            writer.put(part + rows.rows * number, found.float().cpu().numpy())

    once(work, "features", batches, total, writer, keep)


STAGE = Stage(run=run)
