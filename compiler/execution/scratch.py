"""Arrays in temporary files, for data of every row that should not take memory."""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np
from numpy.typing import DTypeLike

BLOCK = 1 << 13  # numbers written at once


class Scratch:
    """Arrays in unnamed files of a folder, by default the system's temporary one.

    A file is deleted with the last reference to its array. Raises OSError where the disk is full.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder

    def zeros(self, count: int, dtype: DTypeLike) -> np.ndarray:
        """Zeros of shape (count,)."""
        size = count * np.dtype(dtype).itemsize
        if not size:
            return np.zeros(count, dtype)
        with TemporaryFile(dir=self.folder) as file:
            os.posix_fallocate(file.fileno(), 0, size)  # a disk that fills up later would kill the process at a write
            return np.asarray(np.memmap(file, dtype, "r+", shape=(count,)))

    def numbers(self, values: Iterable[int]) -> np.ndarray:
        """The whole numbers of an iterable: int64 (values,)."""
        source, count = iter(values), 0
        with TemporaryFile(dir=self.folder) as file:
            while block := array("q", islice(source, BLOCK)):
                block.tofile(file)
                count += len(block)
            file.flush()
            return np.asarray(np.memmap(file, np.int64, "r+", shape=(count,))) if count else np.zeros(0, np.int64)
