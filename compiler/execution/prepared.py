"""Prepared rows: arrays of every row, unpadded, memory-mapped."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np


class Prepared:
    """Rows of a split as written by the prepare stage; a row is a dict of arrays."""

    def __init__(self, folder: Path) -> None:
        self.columns = {
            p.name.removesuffix(".values.npy"): (
                np.load(p, mmap_mode="r"),
                np.load(p.with_name(p.name.replace(".values.", ".offsets."))),
            )
            for p in sorted(folder.glob("*.values.npy"))
        }
        self.targets = np.load(folder / "targets.npy")

    def __len__(self) -> int:
        return len(self.targets)

    def row(self, index: int) -> dict[str, np.ndarray]:
        """The arrays of one row."""
        return {
            name: np.asarray(values[offsets[index] : offsets[index + 1]])
            for name, (values, offsets) in self.columns.items()
        }

    def lengths(self) -> np.ndarray:
        """The length of every row's first array."""
        _, offsets = next(iter(self.columns.values()))
        return np.diff(offsets)


def write_rows(folder: Path, rows: Sequence[dict[str, np.ndarray]], targets: Sequence[np.ndarray]) -> None:
    """Writes rows for `Prepared` to read."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in rows[0]:
        arrays = [row[name] for row in rows]
        smallest = np.int32 if arrays[0].dtype == np.int64 else arrays[0].dtype
        np.save(folder / f"{name}.values.npy", np.concatenate(arrays).astype(smallest))
        np.save(
            folder / f"{name}.offsets.npy", np.concatenate([[0], np.cumsum([len(a) for a in arrays])]).astype(np.int64)
        )
    np.save(folder / "targets.npy", np.stack(targets))
