"""Fills in masked words of a text, by the masked language model of the backbone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..floors import Floor, Sample
from . import _masking
from ._vocabulary import IGNORED

if TYPE_CHECKING:
    import numpy as np


class Options(_masking.Masked):
    """Keys under `head` for fill-mask."""


def floors(record: Mapping[str, Any], train: Sample) -> Iterator[Floor]:
    """The floor that answers with token frequencies in the training rows, each count raised by one."""
    import numpy as np

    counts = np.zeros(record["vocabulary"], np.int64)
    for row in train.examples.features:
        np.add.at(counts, row["input_ids"], 1)
    counts[list(record["special_ids"])] = 0
    losses = np.log(counts.sum() + len(counts)) - np.log(counts + 1.0)
    yield Floor("commonest word", lambda sample: _held(losses, int(counts.argmax()), sample), is_constant=True)


def _held(losses: np.ndarray, commonest: int, sample: Sample) -> dict[str, list[np.ndarray]]:
    """The loss and the hit of each token with a target, in the form of `condense`."""
    import numpy as np

    targets = sample.examples.targets
    assert not isinstance(targets, Mapping)
    wanted = [target[target != IGNORED] for target in targets]
    hits = [(row == commonest).astype(np.float32) for row in wanted]
    return {"losses": [losses[row].astype(np.float32) for row in wanted], "hits": hits}


HEAD = replace(_masking.MASKED, options=Options, floors=floors)
