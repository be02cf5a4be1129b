"""Floors of language models: how often each token comes, and the network before any training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from . import Floor, Sample
from .constant import NAME

if TYPE_CHECKING:
    import numpy as np

UNTUNED = "untuned"


def frequent(targets: np.ndarray | Sequence[np.ndarray], vocabulary: int, ignored: int) -> Floor:
    """The frequencies of tokens in the training rows, whatever comes before; each count is raised by one.

    `targets` are the tokens to be learned of each row, int64 (tokens,), with `ignored` where there is none.
    """
    import numpy as np

    counts = np.ones(vocabulary)
    for row in targets:
        counts += np.bincount(row[row != ignored], minlength=vocabulary)
    losses, first = -np.log(counts / counts.sum()), int(counts.argmax())

    def answer(sample: Sample) -> dict[str, Any]:
        wanted = [np.asarray(row)[np.asarray(row) != ignored] for row in sample.examples.targets]
        return {
            "losses": [losses[row].astype(np.float32) for row in wanted],
            "hits": [(row == first).astype(np.float32) for row in wanted],
        }

    return Floor(NAME, answer, is_constant=True)


def untuned() -> Floor:
    """The backbone's own language model before any training, asked the same rows."""
    return Floor(UNTUNED, lambda sample: sample.untuned)
