"""Prepared rows: memory-mapped arrays of every row, unpadded, with their targets."""

from __future__ import annotations

import json
import mmap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from ...runtime.rows import Outputs, Values
from ..contracts.head import TARGET, Target

TARGETS, OWNERS, REFERENCES = "targets", "owners", "references.jsonl"
NUMBERS = "numbers"
ORDER = "arrays.json"  # the names of a row's arrays, in the order in which preprocessing makes them
VALUES, OFFSETS = ".values.npy", ".offsets.npy"
RAGGED, EDGES = ".ragged.npy", ".edges.npy"  # ragged targets
ARRAY = ".npy"


class Lazy(Sequence[Any]):
    """A sequence whose items are read on access."""

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self.read(i) for i in range(*index.indices(len(self)))]
        place = int(index)
        if not -len(self) <= place < len(self):
            raise IndexError(index)
        return self.read(place % len(self))

    def read(self, index: int) -> Any:
        """The item at an index from 0."""
        raise NotImplementedError


class Ragged(Lazy):
    """Arrays whose first axes differ in length, one after the other in `values`; `edges` tells where each begins."""

    def __init__(self, values: np.ndarray, edges: np.ndarray) -> None:
        self.values, self.edges = values, edges

    def __len__(self) -> int:
        return len(self.edges) - 1

    def read(self, index: int) -> np.ndarray:
        """The array of one row."""
        return np.asarray(self.values[self.edges[index] : self.edges[index + 1]])


class _Chosen(Lazy):
    """A selection of a sequence's items, by place."""

    def __init__(self, every: Sequence[Any], places: np.ndarray) -> None:
        self.every, self.places = every, places

    def __len__(self) -> int:
        return len(self.places)

    def read(self, index: int) -> Any:
        return self.every[int(self.places[index])]


Column = np.ndarray | Sequence[np.ndarray]  # an array (rows, …), or one array for each row
Targets = Column | Mapping[str, Column]  # one column, or several by name


def targets_of(targets: Targets, rows: np.ndarray) -> Targets:
    """The targets of some rows; ragged ones are read on access."""
    if isinstance(targets, Mapping):
        return {name: _column_of(column, rows) for name, column in targets.items()}
    return _column_of(targets, rows)


def _column_of(column: Column, rows: np.ndarray) -> Column:
    return np.asarray(column[rows]) if isinstance(column, np.ndarray) else _Chosen(column, rows)


def target_of(targets: Targets, row: int) -> Target:
    """The target of one row, in the form that its head made."""
    if isinstance(targets, Mapping):
        return {name: np.asarray(column[row]) for name, column in targets.items()}
    return np.asarray(targets[row])


def joined_targets(rows: Sequence[Target]) -> Targets:
    """The targets of several rows as one value."""
    if isinstance(rows[0], Mapping):
        named = [row for row in rows if isinstance(row, Mapping)]
        return {name: _joined([row[name] for row in named]) for name in rows[0]}
    return _joined([np.asarray(row) for row in rows])


def _joined(arrays: list[np.ndarray]) -> Column:
    return arrays if arrays[0].ndim else np.stack(arrays)


@dataclass(frozen=True)
class Examples:
    """The data that outputs are scored by: targets of rows, the input of each row, and references of inputs."""

    targets: Targets
    owners: np.ndarray
    references: Sequence[Any]
    features: Sequence[Mapping[str, np.ndarray]]

    def __len__(self) -> int:
        return int(self.owners[-1]) + 1 if len(self.owners) else 0

    def taken(self, inputs: np.ndarray) -> tuple[np.ndarray, Examples]:
        """The rows of some inputs, which may repeat, and their examples."""
        if len(self) == len(self.owners):  # one row for each input
            rows, owners = np.asarray(inputs), np.arange(len(inputs))
        else:
            edges = np.searchsorted(self.owners, np.arange(len(self) + 1))
            rows = np.concatenate([np.arange(edges[i], edges[i + 1]) for i in inputs])
            owners = np.repeat(np.arange(len(inputs)), [edges[i + 1] - edges[i] for i in inputs])
        references = _Chosen(self.references, inputs) if self.references else ()
        return rows, Examples(targets_of(self.targets, rows), owners, references, _Chosen(self.features, rows))


class Prepared:
    """The rows of a split, written by the stage `prepare`; a row is a dict of arrays, an input has one or more rows.

    All arrays are memory-mapped. `owners` holds the input of each row, `numbers` the number of each input among all
    rows of its tables; both ascend.
    """

    def __init__(self, folder: Path) -> None:
        self.columns = {
            name: Ragged(mapped(folder / f"{name}{VALUES}"), mapped(folder / f"{name}{OFFSETS}"))
            for name in json.loads((folder / ORDER).read_text())
        }
        self.targets = _targets(folder)
        self.owners = mapped(folder / f"{OWNERS}{ARRAY}")
        self.numbers = mapped(folder / f"{NUMBERS}{ARRAY}")
        self.folder = folder

    def __len__(self) -> int:
        """The number of inputs."""
        return int(self.owners[-1]) + 1

    @property
    def rows(self) -> int:
        """The number of rows."""
        return len(self.owners)

    @cached_property
    def edges(self) -> np.ndarray:
        """The first row of each input, and the end of the last: int64 (inputs + 1,)."""
        return np.searchsorted(self.owners, np.arange(len(self) + 1))

    def row(self, index: int) -> dict[str, np.ndarray]:
        """The arrays of one row."""
        return {name: column.read(index) for name, column in self.columns.items()}

    def rows_of(self, inputs: np.ndarray) -> np.ndarray:
        """Indices of the rows of some inputs, input by input."""
        if self.rows == len(self):
            return inputs
        return np.concatenate([np.arange(self.edges[i], self.edges[i + 1]) for i in inputs])

    def lengths(self) -> np.ndarray:
        """The length of every row's first array."""
        return np.diff(next(iter(self.columns.values())).edges)

    def longest(self) -> np.ndarray:
        """The length of the longest row of every input."""
        if self.rows == len(self):
            return self.lengths()
        found: np.ndarray = np.maximum.reduceat(self.lengths(), self.edges[:-1])
        return found

    def examples(self) -> Examples:
        """The examples that these rows' outputs are scored by."""
        path = self.folder / REFERENCES
        return Examples(self.targets, self.owners, _Lines(path) if path.is_file() else (), _Rows(self))


def mapped(path: Path) -> np.ndarray:
    """The memory-mapped array of a file."""
    return np.asarray(np.load(path, mmap_mode="r"))


def rows_in(files: Mapping[str, Any]) -> dict[str, Any]:
    """The files of a folder of prepared rows that hold row arrays, not targets."""
    return {name: held for name, held in sorted(files.items()) if name.endswith((VALUES, OFFSETS))}


class _Rows(Lazy):
    """The arrays of rows."""

    def __init__(self, prepared: Prepared) -> None:
        self.prepared = prepared

    def __len__(self) -> int:
        return self.prepared.rows

    def read(self, index: int) -> dict[str, np.ndarray]:
        return self.prepared.row(index)


class _Lines(Lazy):
    """The values of a file with one JSON value in each line."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            ends = np.fromiter((len(line) for line in file), np.int64).cumsum()
            self.text = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if len(ends) else b""
        self.edges = np.concatenate([[0], ends])

    def __len__(self) -> int:
        return len(self.edges) - 1

    def read(self, index: int) -> Any:
        return json.loads(self.text[self.edges[index] : self.edges[index + 1]])


def _targets(folder: Path) -> Targets:
    """The targets in a folder: one column, or several by name."""
    found: dict[str, Column] = {}
    for path in sorted(folder.glob(f"{TARGETS}*{ARRAY}")):
        if path.name.endswith(RAGGED):
            edges = path.with_name(path.name.removesuffix(RAGGED) + EDGES)
            found[_name(path, RAGGED)] = Ragged(mapped(path), mapped(edges))
        elif not path.name.endswith(EDGES):
            found[_name(path, ARRAY)] = mapped(path)
    return found.get(TARGET, found)


def _name(path: Path, suffix: str) -> str:
    return path.name.removesuffix(suffix).removeprefix(TARGETS).removeprefix(".") or TARGET


def target_file(name: str) -> str:
    """The file of a target of one shape.

    >>> target_file("reference")
    'targets.reference.npy'
    """
    return f"{_file(name)}{ARRAY}"


def _file(name: str) -> str:
    """The base name of a target's files: `targets` for an only target, else `targets.boxes` and the like."""
    return TARGETS if name == TARGET else f"{TARGETS}.{name}"


class ArrayFile:
    """An array file that grows by rows; as a context manager it writes the number of rows at the end."""

    def __init__(self, path: Path, dtype: np.dtype[Any], shape: tuple[int, ...] = ()) -> None:
        self.file: BinaryIO = path.open("wb")
        self.dtype, self.shape, self.count = dtype, shape, 0
        self._head()

    def _head(self) -> None:
        """Writes the header, whose length does not depend on the number of rows."""
        shape = (self.count, *self.shape)
        header = {"descr": np.lib.format.dtype_to_descr(self.dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self.file, header)

    def add(self, values: np.ndarray) -> None:
        """Appends rows (rows, …); raises ValueError for rows of another shape, or of numbers of another kind."""
        if values.shape[1:] != self.shape:
            raise ValueError(f"an array of shape {values.shape[1:]} where those before have {self.shape}")
        if not np.can_cast(values.dtype, self.dtype, "same_kind"):
            raise ValueError(f"an array of {values.dtype} where those before are {self.dtype}")
        self.file.write(np.ascontiguousarray(values, self.dtype).data)
        self.count += len(values)

    def __enter__(self) -> ArrayFile:
        return self

    def __exit__(self, error: object, *raised: object) -> None:
        with self.file:
            if error is None:
                self._end()

    def _end(self) -> None:
        start = self.file.tell() - self.count * self.dtype.itemsize * int(np.prod(self.shape, dtype=np.int64))
        self.file.seek(0)
        self._head()
        assert self.file.tell() == start  # a longer header would overwrite values


class _RaggedFiles:
    """Two growing array files, of values and of edges."""

    def __init__(self, values: ArrayFile, edges: ArrayFile) -> None:
        self.values, self.edges = values, edges
        self.edges.add(np.zeros(1, np.int64))

    def add(self, arrays: Sequence[np.ndarray]) -> None:
        """Appends the arrays of some rows."""
        ends = self.values.count + np.cumsum([len(array) for array in arrays], dtype=np.int64)
        self.values.add(np.concatenate(arrays))
        self.edges.add(ends)


class Block(NamedTuple):
    """Some rows to write: arrays, targets, and the inputs that they belong to."""

    features: Sequence[Mapping[str, np.ndarray]]
    targets: Sequence[Target]
    owners: Sequence[int] | np.ndarray  # for each row the place of its input in the block, ascending
    numbers: Sequence[int]  # for each input its number among all rows of its tables, ascending over all blocks
    references: Sequence[Any] = ()  # for each input what scores need besides targets, as JSON


class RowWriter:
    """Writes rows for `Prepared` block by block, in constant memory.

    `ragged` names targets whose first axis differs in length between rows. As a context manager it completes the files
    at the end.
    """

    def __init__(self, folder: Path, ragged: Sequence[str] = ()) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.ragged = folder, ragged
        self.columns: dict[str, _RaggedFiles] = {}
        self.targets: dict[str, ArrayFile | _RaggedFiles] = {}
        self.files = ExitStack()  # closes all files where one fails
        self.owners = self._file(f"{OWNERS}{ARRAY}", np.dtype(np.int64))
        self.numbers = self._file(f"{NUMBERS}{ARRAY}", np.dtype(np.int64))
        self.lines: BinaryIO | None = None
        self.last = -1  # the last number of an input

    @property
    def rows(self) -> int:
        """The number of rows written."""
        return self.owners.count

    @property
    def inputs(self) -> int:
        """The number of inputs written."""
        return self.numbers.count

    def add(self, block: Block) -> None:
        """Writes a block; raises ValueError where numbers do not ascend, and where rows differ in their arrays."""
        if not len(block.features) == len(block.targets) == len(block.owners):
            raise ValueError(f"{len(block.features)} rows of arrays have {len(block.targets)} targets")
        numbers = np.asarray(block.numbers, np.int64)
        if (np.diff(numbers, prepend=self.last) <= 0).any():
            raise ValueError("numbers of rows must ascend")
        self.last = int(numbers[-1]) if len(numbers) else self.last
        self.owners.add(np.asarray(block.owners, np.int64) + self.inputs)
        self.numbers.add(numbers)
        if block.features:
            self._features(block.features)
            self._targets(block.targets)
        for reference in block.references:
            self.lines = self.lines or self.files.enter_context((self.folder / REFERENCES).open("wb"))
            self.lines.write(f"{json.dumps(reference, ensure_ascii=False)}\n".encode())

    def _features(self, rows: Sequence[Mapping[str, np.ndarray]]) -> None:
        _require_alike(rows, self.columns or rows[0])
        for name, first in rows[0].items():
            if name not in self.columns:
                dtype = np.dtype(np.int32) if first.dtype == np.int64 else first.dtype
                self.columns[name] = self._ragged(f"{name}{VALUES}", f"{name}{OFFSETS}", dtype, first.shape[1:])
            self.columns[name].add([row[name] for row in rows])

    def _targets(self, targets: Sequence[Target]) -> None:
        rows = [target if isinstance(target, Mapping) else {TARGET: target} for target in targets]
        _require_alike(rows, self.targets or rows[0])
        for name, first in rows[0].items():
            if name not in self.targets:
                self.targets[name] = self._target(name, np.asarray(first))
            arrays, writer = [np.asarray(row[name]) for row in rows], self.targets[name]
            if isinstance(writer, ArrayFile):
                writer.add(np.stack(arrays))
            else:
                writer.add(arrays)

    def _target(self, name: str, first: np.ndarray) -> ArrayFile | _RaggedFiles:
        file = _file(name)
        if name in self.ragged:
            return self._ragged(f"{file}{RAGGED}", f"{file}{EDGES}", first.dtype, first.shape[1:])
        return self._file(target_file(name), first.dtype, first.shape)

    def _ragged(self, values: str, edges: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> _RaggedFiles:
        return _RaggedFiles(self._file(values, dtype, shape), self._file(edges, np.dtype(np.int64)))

    def _file(self, name: str, dtype: np.dtype[Any], shape: tuple[int, ...] = ()) -> ArrayFile:
        return self.files.enter_context(ArrayFile(self.folder / name, dtype, shape))

    def __enter__(self) -> RowWriter:
        return self

    def __exit__(self, *raised: Any) -> None:
        self.files.__exit__(*raised)
        if raised[0] is None:
            (self.folder / ORDER).write_text(json.dumps([*self.columns]))


def _require_alike(rows: Iterable[Mapping[str, Any]], wanted: Mapping[str, Any]) -> None:
    """Raises ValueError for a row that has other arrays, whose file would be shorter than the others."""
    for row in rows:
        if row.keys() != wanted.keys():
            raise ValueError(f"a row with arrays {sorted(row)} where those before have {sorted(wanted)}")


def _edges(arrays: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate([[0], np.cumsum([len(a) for a in arrays])]).astype(np.int64)


def write_outputs(path: Path, outputs: Outputs) -> None:
    """Writes outputs by name to one file; ragged ones as values and edges."""
    found: dict[str, np.ndarray] = {}
    for name, values in outputs.items():
        if isinstance(values, list):
            found |= {f"{name}/values": np.concatenate(values), f"{name}/edges": _edges(values)}
        else:
            found[name] = values
    np.savez(path, **found)  # type: ignore[arg-type]


def read_outputs(path: Path) -> dict[str, Values]:
    """The outputs that `write_outputs` wrote."""
    with np.load(path) as file:
        return dict(_outputs({name: file[name] for name in file.files}))


def _outputs(arrays: Mapping[str, np.ndarray]) -> Iterator[tuple[str, Values]]:
    for name, values in arrays.items():
        if name.endswith("/values"):
            edges = arrays[name.replace("/values", "/edges")]
            yield name.removesuffix("/values"), [values[a:b] for a, b in pairwise(edges)]
        elif not name.endswith("/edges"):
            yield name, values
