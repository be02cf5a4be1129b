"""Memory-mapped cache of frozen-layer outputs: a vector for each row, or for each of its tokens."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..diagnostics import refuse
from ..execution.saves import Saves
from ..store.store import sync, write_array, write_atomically

VALUES, EDGES = "values.npy", "edges.npy"
DONE = "done.json"  # how many batches the cache holds, for an attempt that continues
TYPES = {"fp32": np.float32, "fp16": np.float16}


@dataclass(frozen=True)
class FeatureCache:
    """Vectors of all rows in order; `edges` gives where the vectors of each row begin, None for one vector each."""

    values: np.ndarray
    edges: np.ndarray | None
    views: int = 1  # views of each row: all rows of the first view come first, then those of the next

    @property
    def is_whole(self) -> bool:
        """Whether it caches features of the whole backbone: one vector for each row."""
        return self.edges is None

    def drawn(self, rows: np.ndarray, seed: int) -> np.ndarray:
        """The places of one view of each row, drawn from (seed, row number) alone: int64 (rows,)."""
        if self.views == 1:
            return rows
        draws = [np.random.default_rng([seed, row]).integers(self.views) for row in rows.tolist()]
        return rows + len(self.values) // self.views * np.array(draws, np.int64)

    def features(self, rows: np.ndarray) -> np.ndarray:
        """The vectors of rows: (rows, width)."""
        return np.asarray(self.values[rows], np.float32)

    def states(self, rows: np.ndarray, longest: int) -> np.ndarray:
        """The states of rows, padded with zeros: (rows, longest, width)."""
        assert self.edges is not None
        found = np.zeros((len(rows), longest, self.values.shape[1]), np.float32)
        for i, row in enumerate(rows):
            first, last = self.edges[row], self.edges[row + 1]
            found[i, : last - first] = self.values[first:last]
        return found


def read_cache(folder: Path, views: int = 1) -> FeatureCache:
    """The cache in a folder that `FeatureWriter` wrote, with this number of views."""
    edges = np.load(folder / EDGES, mmap_mode="r") if (folder / EDGES).is_file() else None
    return FeatureCache(np.load(folder / VALUES, mmap_mode="r"), edges, views)


class FeatureWriter:
    """Writes a feature cache for rows in any order; `lengths` are the numbers of vectors of rows, None for one each.

    The rows come in `batches` batches. In the folder of an earlier attempt it continues: `done` batches are there
    already, the last one computed in `parts` parts.
    """

    def __init__(
        self, folder: Path, rows: int, width: int, lengths: np.ndarray | None, precision: str = "fp32", batches: int = 1
    ) -> None:
        self.folder, self.batches, self.saves = folder, batches, Saves()
        self.edges = None if lengths is None else np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        count = rows if self.edges is None else int(self.edges[-1])
        shape, dtype = (count, width), np.dtype(TYPES[precision])
        self.done, self.parts = self._left(shape, dtype)
        self.values = np.load(folder / VALUES, mmap_mode="r+") if self.done else self._made(shape, dtype)

    def _left(self, shape: tuple[int, int], dtype: np.dtype[Any]) -> tuple[int, int]:
        """(batches, parts) that an earlier attempt at the same cache has written; (0, 1) for none."""
        try:
            left = json.loads((self.folder / DONE).read_bytes())
            values = np.load(self.folder / VALUES, mmap_mode="r")
            if (left["of"], values.shape, values.dtype) == (self.batches, shape, dtype):
                return int(left["batches"]), int(left["parts"])
        except (OSError, EOFError, ValueError, KeyError, TypeError):
            pass
        return 0, 1

    def _made(self, shape: tuple[int, int], dtype: np.dtype[Any]) -> np.memmap[Any, Any]:
        """A new array on the disk, because it may be larger than memory."""
        (self.folder / DONE).unlink(missing_ok=True)  # it counts batches of another array
        path = self.folder / VALUES
        path.unlink(missing_ok=True)  # it may be a link to another build's finished file
        sync(self.folder)
        values = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
        try:
            with path.open("r+b") as file:  # a disk that fills up later would kill the process at a write
                os.posix_fallocate(file.fileno(), 0, os.fstat(file.fileno()).st_size)
        except OSError:
            path.unlink()  # it may have taken the last bytes of the disk
            raise
        return values

    def put(self, rows: Sequence[int] | np.ndarray, found: np.ndarray) -> None:
        """Writes the vectors of rows: (rows, width), or (rows, tokens, width), whose padding is left out.

        Raises Refused E0419 for numbers that half precision can't hold.
        """
        with np.errstate(over="ignore"):
            found = found.astype(self.values.dtype, copy=False)
        if found.dtype != np.float32 and not np.isfinite(found).all():
            raise refuse(
                "E0419",
                "outputs of frozen layers are too large for half precision",
                help="keep it in `train.fold: {precision: fp32}`",
            )
        if self.edges is None:
            self.values[rows] = found
            return
        for row, states in zip(rows, found, strict=True):
            first, last = self.edges[row], self.edges[row + 1]
            self.values[first:last] = states[: last - first]

    def passed(self, parts: int = 1, at_once: bool = False) -> None:
        """Counts a batch as written; saves the count now and then, or at once."""
        self.done, self.parts = self.done + 1, parts
        if at_once or self.saves.is_due():
            with self.saves.timed():
                self._save()

    def close(self) -> None:
        """Writes the edges and the last count."""
        if self.edges is not None:
            write_array(self.folder / EDGES, self.edges)
        self._save()

    def _save(self) -> None:
        self.values.flush()
        text = json.dumps({"batches": self.done, "of": self.batches, "parts": self.parts})
        write_atomically(self.folder / DONE, lambda staged: staged.write_text(text))
