"""What a graph is asked, and what it gives: rows of arrays, and the input that each row belongs to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

# an array whose first axis is rows, or a list with an array of its own length for each row
Values = np.ndarray | list[np.ndarray]
Outputs = Mapping[str, Values]


@dataclass(frozen=True, eq=False)
class Rows:
    """Inputs and the rows that they make: one each, or several for what is cut into windows or asked together.

    A row's arrays are those that the graph takes, and others that only decoding reads; `owners` has for each row the
    index of its input, ascending.
    """

    inputs: Sequence[Any]
    features: list[dict[str, np.ndarray]]
    owners: np.ndarray
    tokenizer: Any = None  # of texts: turns numbers of tokens into words again

    def of(self, index: int) -> range:
        """The rows of an input."""
        first, last = np.searchsorted(self.owners, [index, index + 1])
        return range(int(first), int(last))


def ragged_axis(shape: Sequence[Any]) -> tuple[int, str] | None:
    """The first axis after that of rows which has a name, and the name; None where each row's array has one shape.

    >>> ragged_axis(["batch", "sequence", 8]), ragged_axis(["batch", 2, "sequence", 4]), ragged_axis(["batch", 3])
    ((1, 'sequence'), (2, 'sequence'), None)
    """
    return next(((i, side) for i, side in enumerate(shape) if i and type(side) is str), None)


def own_part(values: np.ndarray, row: Mapping[str, np.ndarray], along: tuple[int, str]) -> np.ndarray:
    """What of a row's output is its own: along its ragged axis as much as its array of that name, else as its first one."""
    axis, name = along
    length = len(row[name] if name in row else next(iter(row.values())))
    return values[(slice(None),) * (axis - 1) + (slice(length),)]


def by_length(lengths: np.ndarray, most: int, budget: int | None = None) -> list[np.ndarray]:
    """Indices of rows in batches of like length, longest first, so that little is padding.

    A batch has at most so many rows, and rows × longest within the budget where there is one.

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
    """Rows where each input makes one."""
    return Rows(inputs, features, np.arange(len(features)), tokenizer)


def taken(outputs: Outputs, chosen: Sequence[int] | np.ndarray) -> dict[str, Values]:
    """The outputs of some rows."""
    return {n: [v[i] for i in chosen] if isinstance(v, list) else v[np.asarray(chosen)] for n, v in outputs.items()}


def gathered(parts: Sequence[Outputs], order: np.ndarray) -> dict[str, Values]:
    """The outputs of batches as one, each row back in its place: row `order[i]` stands at i in the batches."""
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
