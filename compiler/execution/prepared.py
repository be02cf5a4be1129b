"""Prepared rows: arrays of every row, unpadded, memory-mapped, and what their outputs are held against."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from ...runtime.rows import Outputs, Values

TARGETS, OWNERS, REFERENCES = "targets", "owners", "references.jsonl"
NUMBERS = "numbers.npy"
VALUES, OFFSETS = ".values.npy", ".offsets.npy"


@dataclass(frozen=True)
class Examples:
    """What outputs are scored by: a target per row, the input of each row, and what the head keeps of each input."""

    targets: Values
    owners: np.ndarray
    references: Sequence[Any]
    features: Sequence[Mapping[str, np.ndarray]]

    def __len__(self) -> int:
        return int(self.owners[-1]) + 1 if len(self.owners) else 0

    def taken(self, inputs: np.ndarray) -> tuple[np.ndarray, Examples]:
        """The rows of some inputs, which may come more than once, and what these are scored by."""
        edges = np.searchsorted(self.owners, np.arange(len(self) + 1))
        rows = np.concatenate([np.arange(edges[i], edges[i + 1]) for i in inputs])
        owners = np.repeat(np.arange(len(inputs)), [edges[i + 1] - edges[i] for i in inputs])
        targets = [self.targets[i] for i in rows] if isinstance(self.targets, list) else self.targets[rows]
        references = [self.references[i] for i in inputs] if self.references else ()
        return rows, Examples(targets, owners, references, [self.features[i] for i in rows])


class Prepared:
    """Rows of a split as written by the prepare stage; a row is a dict of arrays, an input one row or several."""

    def __init__(self, folder: Path) -> None:
        self.columns = {p.name.removesuffix(VALUES): _ragged(p) for p in sorted(folder.glob(f"*{VALUES}"))}
        self.targets = _targets(folder)
        self.owners = np.load(folder / f"{OWNERS}.npy")
        self.numbers = np.load(folder / NUMBERS)  # of each input, among all rows of its tables
        self.edges = np.searchsorted(self.owners, np.arange(int(self.owners[-1]) + 2))
        self.folder = folder

    def __len__(self) -> int:
        """How many inputs there are."""
        return len(self.edges) - 1

    @property
    def rows(self) -> int:
        """How many rows the inputs make."""
        return len(self.owners)

    def row(self, index: int) -> dict[str, np.ndarray]:
        """The arrays of one row."""
        return {
            name: np.asarray(values[offsets[index] : offsets[index + 1]])
            for name, (values, offsets) in self.columns.items()
        }

    def rows_of(self, inputs: np.ndarray) -> np.ndarray:
        """Indices of the rows of some inputs, those of each together."""
        if self.rows == len(self):
            return inputs
        return np.concatenate([np.arange(self.edges[i], self.edges[i + 1]) for i in inputs])

    def lengths(self) -> np.ndarray:
        """The length of every row's first array."""
        _, offsets = next(iter(self.columns.values()))
        return np.diff(offsets)

    def longest(self) -> np.ndarray:
        """The length of the longest row of every input."""
        found: np.ndarray = np.maximum.reduceat(self.lengths(), self.edges[:-1])
        return found

    def examples(self) -> Examples:
        """What the outputs of these rows are scored by."""
        path = self.folder / REFERENCES
        lines = path.read_text(encoding="utf-8").split("\n")[:-1] if path.is_file() else []
        return Examples(self.targets, self.owners, [json.loads(line) for line in lines], _Lazy(self))


def rows_in(files: Mapping[str, Any]) -> dict[str, Any]:
    """Of what a folder of prepared rows holds, by the names of its files, that which is arrays of rows: no targets."""
    return {name: held for name, held in sorted(files.items()) if name.endswith((VALUES, OFFSETS))}


class _Lazy(Sequence[Mapping[str, np.ndarray]]):
    """Rows read when they are asked for."""

    def __init__(self, prepared: Prepared) -> None:
        self.prepared = prepared

    def __getitem__(self, index: Any) -> Any:
        return self.prepared.row(index)

    def __len__(self) -> int:
        return self.prepared.rows


def _ragged(path: Path) -> tuple[np.ndarray, np.ndarray]:
    return np.load(path, mmap_mode="r"), np.load(path.with_name(path.name.replace(VALUES, OFFSETS)))


def _targets(folder: Path) -> Values:
    if (folder / f"{TARGETS}.npy").is_file():
        found: np.ndarray = np.load(folder / f"{TARGETS}.npy")
        return found
    values, offsets = np.load(folder / f"{TARGETS}.ragged.npy"), np.load(folder / f"{TARGETS}.edges.npy")
    return [values[a:b] for a, b in pairwise(offsets)]


def write_rows(
    folder: Path,
    rows: Sequence[dict[str, np.ndarray]],
    targets: Sequence[np.ndarray],
    owners: np.ndarray,
    is_along: bool = False,
    references: Sequence[Any] = (),
) -> None:
    """Writes rows for `Prepared` to read; targets that run along a text have a length of their own each."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in rows[0]:
        arrays = [row[name] for row in rows]
        smallest = np.int32 if arrays[0].dtype == np.int64 else arrays[0].dtype
        np.save(folder / f"{name}{VALUES}", np.concatenate(arrays).astype(smallest))
        np.save(folder / f"{name}{OFFSETS}", _edges(arrays))
    if is_along:
        np.save(folder / f"{TARGETS}.ragged.npy", np.concatenate(targets))
        np.save(folder / f"{TARGETS}.edges.npy", _edges(targets))
    else:
        np.save(folder / f"{TARGETS}.npy", np.stack(targets))
    np.save(folder / f"{OWNERS}.npy", owners)
    if references:
        lines = (json.dumps(reference, ensure_ascii=False) for reference in references)
        (folder / REFERENCES).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _edges(arrays: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate([[0], np.cumsum([len(a) for a in arrays])]).astype(np.int64)


def write_outputs(path: Path, outputs: Outputs) -> None:
    """Writes outputs by name to one file, those of a length of their own by their values and edges."""
    found: dict[str, np.ndarray] = {}
    for name, values in outputs.items():
        if isinstance(values, list):
            found |= {f"{name}/values": np.concatenate(values), f"{name}/edges": _edges(values)}
        else:
            found[name] = values
    np.savez(path, **found)  # type: ignore[arg-type]


def read_outputs(path: Path) -> dict[str, Values]:
    """What `write_outputs` wrote."""
    with np.load(path) as file:
        return dict(_outputs({name: file[name] for name in file.files}))


def _outputs(arrays: Mapping[str, np.ndarray]) -> Iterator[tuple[str, Values]]:
    for name, values in arrays.items():
        if name.endswith("/values"):
            edges = arrays[name.replace("/values", "/edges")]
            yield name.removesuffix("/values"), [values[a:b] for a, b in pairwise(edges)]
        elif not name.endswith("/edges"):
            yield name, values
