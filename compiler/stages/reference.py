"""Scores rows by the untouched backbone, once, for losses that compare the trained network with it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np

from ...runtime.rows import by_length
from ..contracts.head import REFERENCE
from ..contracts.stage import Stage
from ..execution.prepared import Prepared, target_file, targets_of
from ..execution.preprocessing import preprocessor
from ..execution.work import Work, stage_name
from ..features.cache import DONE, VALUES, FeatureWriter
from ..layers.head import WANTED
from ..model.assembly import assemble
from ..planning import fits
from ..store.store import write_array
from ..training.loaders import arrays, budget_on, tensors_of
from ..training.memory import cuts
from ..training.once import once

BATCH = 32  # rows


def run(work: Work) -> None:
    """Writes the prepared rows of a split with their scores as the target `reference`; all else of them is linked."""
    rows = work.inputs[stage_name("prepare", work.name, work.split)]
    for path in rows.iterdir():
        (work.out / path.name).unlink(missing_ok=True)
        _link(path, work.out / path.name)
    if not (found := work.out / target_file(REFERENCE)).is_file():
        write_array(found, _scores(work, Prepared(rows)))
    for name in (VALUES, DONE):  # of the attempt
        (work.out / name).unlink(missing_ok=True)


def _scores(work: Work, rows: Prepared) -> np.ndarray:
    """The score of each row, float32 (rows,)."""
    phase, task = fits.untouched(work.plan), work.task
    network = assemble(phase, work.backbone).to(work.machine.device)
    processor, head = preprocessor(work.plan, work.backbone), task.head.variant
    reference = head.reference_scores
    assert reference is not None
    batches = by_length(rows.lengths(), BATCH, budget_on(work.machine.device, processor))
    writer = FeatureWriter(work.out, rows.rows, 1, None, batches=len(batches))

    def keep(_: int, chosen: np.ndarray, parts: int) -> None:
        for part in (chosen[cut] for cut in cuts(len(chosen), parts)):
            batch = arrays(processor.collate([rows.row(int(i)) for i in part]), work.machine.device)
            targets = tensors_of(targets_of(rows.targets, part), work.machine.device)
            batch |= {WANTED: head.wanted(targets)} if head.wanted else {}
            outputs = network.answers(batch, [task.name])[task.name]
            scores = reference.score(task.head.record, outputs, targets)
            writer.put(part, scores.float().cpu().numpy()[:, None])

    once(work, "reference", [(0, chosen) for chosen in batches], rows.rows, writer, keep)
    found: np.ndarray = np.asarray(writer.values)[:, 0].copy()
    return found


def _link(path: Path, to: Path) -> None:
    """Links a file, or copies it where the file system has no links."""
    try:
        os.link(path, to)
    except OSError:
        shutil.copyfile(path, to)


STAGE = Stage(run=run)
