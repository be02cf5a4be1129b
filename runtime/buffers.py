"""A graph's cache of keys and values in arrays that it reads and extends in place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .cache import present_of
from .session import Session, in_place

MORE = 128  # tokens for which there is room beside those that are asked for


class Buffers:
    """Arrays (rows, heads, room, size), each past and present of a graph with GroupQueryAttention.

    `shapes` are the manifest's of the inputs that are past; `rows` and `room` give the first two named sides. Logits
    are of one token of each row, over `words`.
    """

    def __init__(self, session: Session, shapes: Mapping[str, Any], words: int, rows: int, room: int) -> None:
        self.session, self.words, self.room = session, words, room + MORE
        self.arrays = {
            name: np.zeros((rows, shape[1], self.room, shape[3]), np.float32) for name, shape in shapes.items()
        }
        self._bind()

    def run(self, arrays: Mapping[str, np.ndarray], length: int) -> np.ndarray:
        """Logits (rows, 1, words); keys and values of the new tokens are added, after which the longest row has `length` tokens."""
        self.grow(length)
        for name, array in arrays.items():
            self._binding.bind_cpu_input(name, array)
        found = np.empty((len(arrays["input_ids"]), 1, self.words), np.float32)
        self._binding.bind_ortvalue_output("logits", in_place(found))
        self.session.run_bound(self._binding)
        return found

    def keep(self, rows: np.ndarray, length: int) -> None:
        """Goes on with these rows of before, of which the first `length` tokens count."""
        held = len(next(iter(self.arrays.values())))
        if len(rows) != held:
            self._move(rows, length, self.room)
            return
        for array in self.arrays.values():
            array[:, :, :length] = array[rows, :, :length]

    def row(self, index: int) -> Buffers:
        """One row by itself, in the same memory."""
        found = object.__new__(Buffers)
        found.session, found.words, found.room = self.session, self.words, self.room
        found.arrays = {name: array[index : index + 1] for name, array in self.arrays.items()}
        found._bind()
        return found

    def grow(self, length: int) -> None:
        """Makes room for rows of `length` tokens."""
        if length > self.room:
            self._move(slice(None), self.room, length + max(MORE, length // 2))

    def _move(self, rows: np.ndarray | slice, length: int, room: int) -> None:
        """Copies the first `length` tokens of some rows into new arrays."""
        for name, array in self.arrays.items():
            old = array[rows, :, :length]
            self.arrays[name] = np.zeros((len(old), old.shape[1], room, old.shape[3]), np.float32)
            self.arrays[name][:, :, :length] = old
        self.room = room
        self._bind()

    def _bind(self) -> None:
        self._binding = self.session.session.io_binding()
        for name, array in self.arrays.items():
            value = in_place(array)
            self._binding.bind_ortvalue_input(name, value)
            self._binding.bind_ortvalue_output(present_of(name), value)
