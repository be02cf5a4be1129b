"""Splits and orders rows reproducibly: which are held out, and in which order an epoch visits them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate
from typing import TYPE_CHECKING

from ..store.hashes import combined

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import DTypeLike

BLOCK = 1 << 16  # rows handled at a time
WINDOW = 100  # batches whose rows are sorted by length; with 50, goemotions had 1.2% more padding


def generator(seed: int, *purpose: object) -> np.random.Generator:
    """A random generator for one purpose, independent of the generators of other purposes."""
    import numpy as np  # imported here and below, because planning only counts rows

    key = int(combined([str(seed), *map(str, purpose)])[:16], 16)
    return np.random.Generator(np.random.Philox(key))


def derived_seed(seed: int, *purpose: object) -> int:
    """A 63-bit seed for torch for one purpose."""
    return int(combined([str(seed), *map(str, purpose)])[:16], 16) >> 1


def held_out(
    strata: np.ndarray, fraction: float, seed: int, room: Callable[[int, DTypeLike], np.ndarray] | None = None
) -> np.ndarray:
    """Which rows are held out, bool (rows,): `fraction` of each stratum, and at least one where a stratum has two rows.

    `strata` holds the number of each row's stratum, int (rows,). `room(count, dtype)` returns zeros to work in, which
    may be memory-mapped: then memory does not grow with rows.

    >>> import numpy as np
    >>> int(held_out(np.array([0] * 10 + [1] * 10), 0.2, 0).sum())
    4
    """
    import numpy as np

    room = room or np.zeros
    counts: Counter[int] = Counter()
    for _, labels, sizes in _grouped(strata):
        counts.update(dict(zip(labels, sizes, strict=True)))
    ends = dict(zip(sorted(counts), accumulate(counts[label] for label in sorted(counts)), strict=True))
    filled = {label: end - counts[label] for label, end in ends.items()}  # where the next row of a stratum goes
    rows, found = room(len(strata), np.int64), room(len(strata), np.bool_)
    for places, labels, sizes in _grouped(strata):  # group rows by stratum, in order
        at = 0
        for label, size in zip(labels, sizes, strict=True):
            rows[filled[label] : filled[label] + size] = places[at : at + size]
            filled[label], at = filled[label] + size, at + size
    for label, end in ends.items():
        own = rows[end - counts[label] : end]
        generator(seed, "held out", label).shuffle(own)
        found[own[: _share(len(own), fraction)]] = True
    return found


def _grouped(strata: np.ndarray) -> Iterator[tuple[np.ndarray, list[int], list[int]]]:
    """For each block of rows: row numbers sorted by stratum, the strata in the block, and the rows of each."""
    import numpy as np

    for at in range(0, len(strata), BLOCK):
        block = strata[at : at + BLOCK]
        labels, sizes = np.unique(block, return_counts=True)
        yield at + np.argsort(block, kind="stable"), labels.tolist(), sizes.tolist()


def held_out_count(strata: Iterable[int], fraction: float) -> int:
    """The number of rows that `held_out` would hold out of strata of these sizes.

    >>> held_out_count([10, 1], 0.2)
    2
    """
    return sum(_share(rows, fraction) for rows in strata)


def _share(rows: int, fraction: float) -> int:
    """The number of rows of a stratum to hold out: at least one of two rows, never all."""
    return min(round(rows * fraction) or (1 if rows > 1 else 0), rows - 1)


def epoch_order(rows: int, seed: int, epoch: int, *which: int) -> np.ndarray:
    """The order in which an epoch visits its rows; `which` separates passes over several sets of rows."""
    return generator(seed, "epoch", epoch, *which).permutation(rows)


def grouped_by_length(order: np.ndarray, lengths: np.ndarray, batch: int, seed: int, *purpose: object) -> np.ndarray:
    """An epoch's order in which rows of a batch have similar lengths, to save padding.

    Rows are sorted by length within stretches of WINDOW batches, as transformers' LengthGroupedSampler does within 50.
    Then batches are shuffled; a last batch that is not full stays last. `lengths` is indexed by row number.

    >>> import numpy as np
    >>> found = grouped_by_length(np.array([0, 1, 2, 3]), np.array([9, 1, 8, 2]), 2, 0)
    >>> found.reshape(2, 2).sum(1).tolist() in ([2, 4], [4, 2])
    True
    """
    import numpy as np

    stretch = WINDOW * batch
    kept = [
        part[np.argsort(-lengths[part], kind="stable")]
        for part in (order[at : at + stretch] for at in range(0, len(order), stretch))
    ]
    sorted_ = np.concatenate(kept)
    full = len(sorted_) // batch
    batches = sorted_[: full * batch].reshape(full, batch)
    shuffled = batches[generator(seed, "batches", *purpose).permutation(full)]
    return np.concatenate([shuffled.ravel(), sorted_[full * batch :]])


def paired_by_label(order: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """An epoch's order in which rows of a label come in pairs, so that each has a partner in its batch.

    Rows without a partner come last. `labels` is indexed by row number.

    >>> import numpy as np
    >>> paired_by_label(np.array([0, 1, 2, 3, 4]), np.array([7, 8, 7, 8, 8])).tolist()
    [0, 2, 1, 3, 4]
    """
    import numpy as np

    waiting: dict[int, int] = {}
    pairs: list[int] = []
    for row, label in zip(order.tolist(), labels[order].tolist(), strict=True):
        if label in waiting:
            pairs += [waiting.pop(label), row]
        else:
            waiting[label] = row
    return np.array([*pairs, *waiting.values()], np.int64)
