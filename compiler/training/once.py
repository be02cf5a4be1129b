"""Goes through the batches of frozen work, which is done once and kept; a later attempt goes on where one was ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch

from ..execution.work import Work
from ..features.cache import FeatureWriter
from ..interrupts import held_back
from .memory import Parts

Keep = Callable[[int, np.ndarray, int], None]  # (number of the view, numbers of rows, parts) → computed and written


def once(
    work: Work, word: str, batches: Sequence[tuple[int, np.ndarray]], total: int, writer: FeatureWriter, keep: Keep
) -> None:
    """Calls `keep` for each batch, (number of a view, numbers of rows), that the writer lacks, and closes the writer.

    `total` is the number of all rows, and `word` what progress is called.
    """
    torch.set_num_threads(work.machine.threads)
    parts = Parts()
    parts.count = writer.parts
    done = sum(len(chosen) for _, chosen in batches[: writer.done])
    if done:
        work.progress.say(f"  going on from row {done} of {total}")
    with (
        held_back() as is_interrupted,
        work.progress.steps(word, total, done) as advance,
        torch.inference_mode(),
    ):
        for number, chosen in batches[writer.done :]:
            parts.fit(len(chosen), partial(keep, number, chosen))
            advance(len(chosen))
            is_over = is_interrupted()
            writer.passed(parts.count, at_once=is_over)
            if is_over:
                raise KeyboardInterrupt
    writer.close()
