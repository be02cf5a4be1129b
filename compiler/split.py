"""Divides rows reproducibly: which are held out, and in which order they are visited."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .digest import combined


def generator(seed: int, *purpose: object) -> np.random.Generator:
    """A generator of its own for each purpose, so that nothing shifts anything else."""
    key = int(combined([str(seed), *map(str, purpose)])[:16], 16)
    return np.random.Generator(np.random.Philox(key))


def derived_seed(seed: int, *purpose: object) -> int:
    """A 63-bit seed for torch, for one purpose."""
    return int(combined([str(seed), *map(str, purpose)])[:16], 16) >> 1


def held_out(strata: Sequence[int], fraction: float, seed: int) -> np.ndarray:
    """Indices (sorted) of the rows held out: `fraction` of each stratum, at least one of it where it has two.

    >>> held_out([0] * 10 + [1] * 10, 0.2, 0).size
    4
    """
    labels = np.asarray(strata)
    chosen = []
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        count = round(len(rows) * fraction) or (1 if len(rows) > 1 else 0)
        chosen.append(generator(seed, "held out", int(label)).permutation(rows)[: min(count, len(rows) - 1)])
    return np.sort(np.concatenate(chosen))


def epoch_order(rows: int, seed: int, epoch: int) -> np.ndarray:
    """The order in which an epoch visits its rows."""
    return generator(seed, "epoch", epoch).permutation(rows)
