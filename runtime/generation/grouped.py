"""A graph with GroupQueryAttention as decoding asks it: rows padded on the right, keys and values in one place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from ..cache import KEPT
from ..manifest import MODEL
from .cached import Run, parted

LAST = np.ones(1, np.int64)  # logits are asked for of each row's last token


class Cache(Protocol):
    """Keys and values of rows, and the graph that adds to them."""

    def run(self, arrays: Mapping[str, np.ndarray], length: int, /) -> np.ndarray:
        """Logits (rows, 1, vocabulary); the longest row has `length` tokens then."""

    def keep(self, rows: np.ndarray, length: int, /) -> None:
        """Goes on with these rows of before, of which the first `length` tokens count."""

    def row(self, index: int, /) -> Cache:
        """One row by itself; what is added to it is added here."""

    def grow(self, length: int, /) -> None:
        """Makes room for rows of `length` tokens."""


@runtime_checkable
class InPlace(Protocol):
    """A `Run` whose graph can extend a cache in place."""

    def buffers(self, rows: int, room: int, /) -> Cache:
        """An empty cache."""


class GroupedSteps:
    """`Steps` of a graph whose rows are padded on the right; `pad` fills them.

    onnxruntime takes several new tokens over a cache of one row only: `extend` then goes row by row.
    """

    def __init__(self, run: Run, pad: int) -> None:
        self.graph, self.pad = run, pad
        self.lengths = np.zeros(0, np.int64)  # tokens of each row

    def start(self, prompts: Sequence[Sequence[int]]) -> np.ndarray:
        """Logits (rows, vocabulary) after prompts of any lengths."""
        self.lengths = np.array([len(prompt) for prompt in prompts], np.int64)
        longest = int(self.lengths.max())
        ids = np.full((len(prompts), longest), self.pad, np.int64)
        for row, prompt in enumerate(prompts):
            ids[row, : len(prompt)] = prompt
        self.cache = self._empty(len(prompts), longest)
        return self._ask(self.cache, ids, self.lengths)

    def _empty(self, rows: int, room: int) -> Cache:
        graph: object = self.graph
        return graph.buffers(rows, room) if isinstance(graph, InPlace) else Arrays(self.graph)

    def step(self, tokens: np.ndarray) -> np.ndarray:
        """Logits (rows, vocabulary) after a token more for each row, int64 (rows,)."""
        self.lengths = self.lengths + 1
        return self._ask(self.cache, tokens[:, None], self.lengths)

    def extend(self, turns: Sequence[Sequence[int]]) -> np.ndarray:
        """Logits (rows, vocabulary) after one token or more for each row, such as the next turn of conversations."""
        longer = self.lengths + np.array([len(turn) for turn in turns], np.int64)
        self.cache.grow(int(longer.max()))
        found = []
        for row, turn in enumerate(turns):
            ids = np.array([turn], np.int64)
            found.append(self._ask(self.cache.row(row), ids, longer[row : row + 1]))
        self.lengths = longer
        return np.concatenate(found)

    def keep(self, rows: np.ndarray) -> None:
        """Goes on with these rows of before, int64 indices (rows,)."""
        self.lengths = self.lengths[rows]
        self.cache.keep(rows, int(self.lengths.max()))

    def _ask(self, cache: Cache, ids: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        longest = int(lengths.max())
        mask = (np.arange(longest) < lengths[:, None]).astype(np.int64)
        return cache.run({"input_ids": ids, "attention_mask": mask, KEPT: LAST}, longest)[:, -1]


class Arrays:
    """A cache that is handed from call to call, for graphs that extend none in place."""

    def __init__(self, run: Run) -> None:
        self.graph = run
        self.past: dict[str, np.ndarray] = {}

    def run(self, arrays: Mapping[str, np.ndarray], length: int) -> np.ndarray:
        """Logits (rows, 1, vocabulary)."""
        before = length - arrays["input_ids"].shape[1]
        past = {name: values[:, :, :before] for name, values in self.past.items()}
        logits, self.past = parted(self.graph(MODEL, {**arrays, **past}))
        return logits

    def keep(self, rows: np.ndarray, length: int) -> None:
        """Goes on with these rows of before, of which the first `length` tokens count."""
        self.past = {name: values[rows, :, :length] for name, values in self.past.items()}

    def row(self, index: int) -> Cache:
        """One row by itself."""
        return _Row(self, index)

    def grow(self, length: int) -> None:
        """Makes room for rows of `length` tokens."""
        for name, values in self.past.items():
            more = max(0, length - values.shape[2])
            self.past[name] = np.pad(values, ((0, 0), (0, 0), (0, more), (0, 0)))


class _Row(Arrays):
    """A row of a cache that is handed on, which is written back."""

    def __init__(self, whole: Arrays, index: int) -> None:
        self.graph, self.whole, self.index = whole.graph, whole, index
        self.past = {name: values[index : index + 1] for name, values in whole.past.items()}

    def run(self, arrays: Mapping[str, np.ndarray], length: int) -> np.ndarray:
        """Logits (1, 1, vocabulary)."""
        found = super().run(arrays, length)
        for name, values in self.past.items():
            self.whole.past[name][self.index, :, :length] = values[0, :, :length]
        return found
