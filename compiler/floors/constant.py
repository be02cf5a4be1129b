"""Floors with the same answer to every input."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import Floor, Sample

if TYPE_CHECKING:
    import numpy as np

NAME = "most frequent"


def of_labels(targets: np.ndarray, count: int) -> Floor:
    """Log frequencies of labels in the training rows, from targets (rows,); each count is raised by one."""
    import numpy as np

    return of_logits(np.log(np.bincount(targets, minlength=count) + 1.0))


def of_several(targets: np.ndarray) -> Floor:
    """Log odds of each label in the training rows, from targets (rows, labels) of 0 and 1."""
    import numpy as np

    positive = targets.sum(0) + 0.5
    return of_logits(np.log(positive / (len(targets) + 1 - positive)))


def of_numbers(targets: np.ndarray) -> Floor:
    """The mean of the training rows, from targets (rows, numbers)."""
    return of_logits(targets.mean(0, dtype=float))


def of_logits(logits: np.ndarray) -> Floor:
    """The same logits (outputs,) for every input."""
    import numpy as np

    def answer(sample: Sample) -> dict[str, Any]:
        return {"logits": np.tile(logits.astype(np.float32), (len(sample.examples.owners), 1))}

    return Floor(NAME, answer, is_constant=True)
