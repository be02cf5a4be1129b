"""Rows of arrays for graphs, and the outputs for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

# an array whose first axis is rows, or a list with one array for each row
Values = np.ndarray | list[np.ndarray]
Outputs = Mapping[str, Values]


@dataclass(frozen=True, eq=False)
class Rows:
    """Inputs and their rows: one row for each input, or several, for windows or several texts.

    A row holds the arrays that graphs take, and arrays that only decoding reads. `owners` holds the index of the input
    of each row, ascending.
    """

    inputs: Sequence[Any]
    features: list[dict[str, np.ndarray]]
    owners: np.ndarray
    tokenizer: Any = None  # for texts: decodes token ids

    def of(self, index: int) -> range:
        """The rows of an input."""
        first, last = np.searchsorted(self.owners, [index, index + 1])
        return range(int(first), int(last))


def ragged_axis(shape: Sequence[Any]) -> tuple[int, str] | None:
    """The first named axis after that of rows, and its name; None where all rows have one shape.

    >>> ragged_axis(["batch", "sequence", 8]), ragged_axis(["batch", 2, "sequence", 4]), ragged_axis(["batch", 3])
    ((1, 'sequence'), (2, 'sequence'), None)
    """
    return next(((i, side) for i, side in enumerate(shape) if i and type(side) is str), None)


def own_part(values: np.ndarray, row: Mapping[str, np.ndarray], along: tuple[int, str]) -> np.ndarray:
    """The part of a row's output without padding.

    Along the ragged axis it is as long as the row's array of that name, or else as its first array.
    """
    axis, name = along
    length = len(row[name] if name in row else next(iter(row.values())))
    return values[(slice(None),) * (axis - 1) + (slice(length),)]


def by_length(lengths: np.ndarray, most: int, budget: int | None = None) -> list[np.ndarray]:
    """Indices of rows in batches of similar length, longest first, to save padding.

    A batch has at most `most` rows, and rows × longest within `budget` if given.

    >>> [batch.tolist() for batch in by_length(np.array([2, 9, 3, 1]), 3, 9)]
    [[1], [2, 0, 3]]
    """
    order, found, at = np.argsort(-lengths, kind="stable"), [], 0
    while at < len(order):
        fits = most if budget is None else max(1, min(most, budget // max(1, int(lengths[order[at]]))))
        found.append(order[at : at + fits])
        at += fits
    return found


def one_each(inputs: Sequence[Any], features: list[dict[str, np.ndarray]], tokenizer: Any = None) -> Rows:
    """Rows with one row for each input."""
    return Rows(inputs, features, np.arange(len(features)), tokenizer)


def taken(outputs: Outputs, chosen: Sequence[int] | np.ndarray) -> dict[str, Values]:
    """The outputs of some rows."""
    return {n: [v[i] for i in chosen] if isinstance(v, list) else v[np.asarray(chosen)] for n, v in outputs.items()}


def gathered(parts: Sequence[Outputs], order: np.ndarray) -> dict[str, Values]:
    """The outputs of several batches as one, in the order of rows: row `order[i]` is at place i in the batches."""
    back = np.argsort(order, kind="stable")
    found: dict[str, Values] = {}
    for name in parts[0] if parts else ():
        values = [part[name] for part in parts]
        if isinstance(values[0], list):
            rows = [row for value in values for row in value]
            found[name] = [rows[i] for i in back]
        else:
            found[name] = np.concatenate(values)[back]
    return found
