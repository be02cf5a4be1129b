"""Prepared rows, written as they come and mapped: what is read is what was written, and memory does not grow."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from graftc.compiler.contracts.head import TARGET, Target
from graftc.compiler.execution.prepared import ArrayFile, Block, Examples, Prepared, RowWriter, joined_targets
from graftc.compiler.execution.scratch import Scratch
from graftc.compiler.export.bootstrap import RESAMPLES
from graftc.compiler.facts.answered import Answered, patterns
from graftc.compiler.planning.split import BLOCK, generator, held_out, held_out_count
from graftc.compiler.training.loaders import tensors_of

ROOT = Path(__file__).resolve().parents[2]
COUNTS = (2, 0, 3, 1, 0, 5)  # boxes of each row


def boxes(count: int) -> Target:
    corners = np.arange(4 * count, dtype=np.float32).reshape(count, 4) + 1
    return {"boxes": corners, "kinds": np.arange(count), "seen": np.array(count, np.int16)}


def written(folder: Path, targets: list[Target], ragged: tuple[str, ...], at_once: int = 2) -> Prepared:
    """Rows with a target each, two of every second input, some inputs at once."""
    rows = [{"ids": np.arange(i + 1), "pixels": np.full((1, 2), i, np.float32)} for i in range(len(targets))]
    owners = np.arange(len(rows)) // 2
    with RowWriter(folder, ragged) as writer:
        for at in range(0, len(rows), 2 * at_once):
            some = slice(at, at + 2 * at_once)
            numbers = np.unique(owners[some])
            writer.add(Block(rows[some], targets[some], owners[some] - owners[at], (3 * numbers).tolist(), [{"é": at}]))
    return Prepared(folder)


@pytest.mark.parametrize("at_once", [1, 2, 9])
def test_named_targets_are_read_as_they_were_written(tmp_path: Path, at_once: int) -> None:
    rows = written(tmp_path, [boxes(count) for count in COUNTS], ("boxes", "kinds"), at_once)
    assert isinstance(rows.targets, Mapping)
    assert rows.targets.keys() == {"boxes", "kinds", "seen"}
    for name in rows.targets:
        for i, count in enumerate(COUNTS):
            wanted = boxes(count)
            assert isinstance(wanted, Mapping)
            assert rows.targets[name][i].dtype == wanted[name].dtype
            np.testing.assert_array_equal(rows.targets[name][i], wanted[name])
    assert rows.targets["seen"][:].tolist() == list(COUNTS)
    assert (rows.rows, len(rows), rows.numbers.tolist()) == (6, 3, [0, 3, 6])
    assert rows.row(4)["ids"].tolist() == [0, 1, 2, 3, 4]
    assert rows.row(4)["pixels"].tolist() == [[4, 4]]
    assert rows.longest().tolist() == [2, 4, 6]
    assert rows.rows_of(np.array([2, 0])).tolist() == [4, 5, 0, 1]


def test_a_batch_of_ragged_targets_is_padded(tmp_path: Path) -> None:
    rows = written(tmp_path, [boxes(count) for count in COUNTS], ("boxes", "kinds"))
    places, examples = rows.examples().taken(np.array([1, 0, 1]))
    assert places.tolist() == [2, 3, 0, 1, 2, 3]
    assert examples.owners.tolist() == [0, 0, 1, 1, 2, 2]
    assert [len(row["ids"]) for row in examples.features] == [3, 4, 1, 2, 3, 4]
    found = tensors_of(examples.targets)
    assert isinstance(found, dict)
    assert found["kinds"].tolist()[:3] == [[0, 1, 2], [0, -100, -100], [0, 1, -100]]
    assert found["boxes"].shape == (6, 3, 4)
    assert not found["boxes"][1, 1:].any()
    assert bool(found["boxes"][0].all())
    assert found["seen"].tolist() == [3, 1, 2, 0, 3, 1]
    anew = tensors_of(joined_targets([boxes(COUNTS[i]) for i in places]))
    assert isinstance(anew, dict)
    assert all(torch.equal(found[name], anew[name]) for name in found)


@pytest.mark.parametrize("ragged", [(), (TARGET,)])
def test_the_one_target_of_a_head_has_no_name(tmp_path: Path, ragged: tuple[str, ...]) -> None:
    rows = written(tmp_path, [np.array([i, i + 1]) for i in range(6)], ragged)
    assert isinstance(rows.targets, np.ndarray) is not bool(ragged)
    assert tensors_of(rows.targets).tolist() == [[i, i + 1] for i in range(6)]


def test_references_are_read_one_by_one(tmp_path: Path) -> None:
    references = written(tmp_path, [boxes(1)] * 6, ("boxes", "kinds"), 1).examples().references
    assert list(references) == [{"é": 0}, {"é": 2}, {"é": 4}]
    assert references[-1] == {"é": 4}
    with pytest.raises(IndexError):
        references[3]


def test_the_arrays_of_a_row_keep_their_order(tmp_path: Path) -> None:
    """The first says how long a row is: of a text with a picture the text, whatever comes first in the alphabet."""
    row = {"text.ids": np.arange(7), "image.pixels": np.zeros((3, 2))}
    with RowWriter(tmp_path) as writer:
        writer.add(Block([row], [np.array(0)], [0], [0]))
    rows = Prepared(tmp_path)
    assert [*rows.row(0)] == [*row]
    assert rows.lengths().tolist() == [7]


def test_a_disk_that_is_full_is_said_and_no_file_stays_open(tmp_path: Path) -> None:
    row, limits = {"ids": np.arange(1 << 16)}, resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, limits[1]))
    writer = RowWriter(tmp_path, [TARGET])
    try:
        with pytest.raises(OSError, match="too large"), writer:
            writer.add(Block([row], [np.arange(3)], [0], [0], [{}]))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    opened = {os.readlink(file) for file in Path("/proc/self/fd").iterdir() if file.is_symlink()}
    assert not [path for path in opened if path.startswith(str(tmp_path))]


def test_rows_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    row = {"ids": np.arange(2)}
    with RowWriter(tmp_path / "a") as writer:
        writer.add(Block([row], [np.array(0)], [0], [5]))
        with pytest.raises(ValueError, match="ascend"):
            writer.add(Block([row], [np.array(0)], [0], [5]))
    with RowWriter(tmp_path / "b") as writer:
        writer.add(Block([row], [np.zeros(2)], [0], [0]))
        with pytest.raises(ValueError, match="shape"):
            writer.add(Block([row], [np.zeros(3)], [0], [1]))


@pytest.mark.parametrize(
    ("features", "targets", "says"),
    [
        ({"ids": np.arange(3)}, [], "1 rows of arrays have 0 targets"),
        ({"ids": np.arange(3)}, [{"kind": np.array(1)}, {"kind": np.array(1)}], "1 rows of arrays have 2 targets"),
        ({"ids": np.arange(3)}, [{"kind": np.array(0.5)}], "float64 where those before are int64"),
        ({"ids": np.zeros(3)}, [{"kind": np.array(1)}], "float64 where those before are int32"),
        ({"ids": np.arange(3)}, [{"kind": np.array(1), "more": np.array(1)}], r"\['kind', 'more'\]"),
        ({"ids": np.arange(3)}, [{}], r"arrays \[\]"),
        ({"ids": np.arange(3), "more": np.arange(3)}, [{"kind": np.array(1)}], r"\['ids', 'more'\]"),
    ],
)
def test_a_row_unlike_those_before_is_refused(
    tmp_path: Path, features: dict[str, np.ndarray], targets: list[Target], says: str
) -> None:
    """Whether it comes in the same block or in a later one: else its arrays would be those of other rows, or rounded."""
    good = Block([{"ids": np.arange(2)}], [{"kind": np.array(0)}], [0], [0])
    with RowWriter(tmp_path / "a") as writer:
        writer.add(good)
        with pytest.raises(ValueError, match=says):
            writer.add(Block([features], targets, [0], [1]))
    both = Block([*good.features, features], [*good.targets, *targets], [0, 1], [0, 1])
    if len(targets) == 1:
        with RowWriter(tmp_path / "b") as writer, pytest.raises(ValueError, match=says):
            writer.add(both)


@given(st.lists(st.lists(st.integers(-(2**31), 2**31 - 1), max_size=5), max_size=5))
def test_a_growing_array_is_the_file_that_numpy_writes(
    tmp_path_factory: pytest.TempPathFactory, parts: list[list[int]]
) -> None:
    folder = tmp_path_factory.mktemp("arrays")
    with ArrayFile(folder / "grown.npy", np.dtype(np.int32), (1,)) as file:
        for part in parts:
            file.add(np.array(part, np.int64).reshape(-1, 1))
    np.save(folder / "saved.npy", np.array([*chain(*parts)], np.int32).reshape(-1, 1))
    assert (folder / "grown.npy").read_bytes() == (folder / "saved.npy").read_bytes()


@pytest.mark.parametrize(("rows", "strata"), [(3, 3), (200, 3), (2 * BLOCK + 7, 5), (BLOCK, 1)])
def test_held_out_rows_are_a_permutation_of_each_stratum(tmp_path: Path, rows: int, strata: int) -> None:
    """The draw that plans of every version were made with, whether its arrays lie in memory or on a disk."""
    labels = np.random.default_rng(0).integers(0, strata, rows)
    wanted = np.zeros(rows, bool)
    for label in np.unique(labels):
        own = np.flatnonzero(labels == label)
        share = held_out_count([len(own)], 0.13)
        wanted[generator(5, "held out", int(label)).permutation(own)[:share]] = True
    scratch = Scratch(tmp_path)
    kept = scratch.numbers(iter(labels.tolist()))
    np.testing.assert_array_equal(kept, labels)
    np.testing.assert_array_equal(held_out(labels, 0.13, 5), wanted)
    np.testing.assert_array_equal(held_out(kept, 0.13, 5, scratch.zeros), wanted)
    assert not [*tmp_path.iterdir()]


def test_inputs_are_drawn_again_as_in_one_draw() -> None:
    """The standard error of gates: one draw after the other gives the numbers that all at once gave."""
    whole = generator(3, "standard error").integers(0, 977, (RESAMPLES, 977))
    again = generator(3, "standard error")
    assert all((again.integers(0, 977, 977) == row).all() for row in whole)


def test_inputs_of_one_row_each_are_taken_without_edges() -> None:
    targets = np.arange(9)
    rows, examples = Examples(targets, np.arange(9), (), [{}] * 9).taken(np.array([7, 7, 2]))
    assert rows.tolist() == [7, 7, 2]
    assert isinstance(examples.targets, np.ndarray)
    assert examples.targets.tolist() == [7, 7, 2]
    assert examples.owners.tolist() == [0, 1, 2]


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 40_000), st.sets(st.sampled_from("abc"), min_size=1))))
def test_patterns_of_answers_are_counted_in_order(rows: list[tuple[int, int, set[str]]]) -> None:
    has = {(table, number): heads for table, number, heads in rows}
    answered = {head: Answered() for head in "bac"}
    met: dict[tuple[int, int], list[str]] = {}
    for head, each in answered.items():
        for table, number in sorted(place for place, heads in has.items() if head in heads):
            each.add(table, number)
            met.setdefault((table, number), []).append(head)
    counts: dict[tuple[str, ...], int] = {}
    for heads in met.values():
        counts[tuple(heads)] = counts.get(tuple(heads), 0) + 1
    assert list(patterns(answered).items()) == list(counts.items())


def test_memory_does_not_grow_with_rows() -> None:
    """Five times the rows, prepared and written on a disk: what they take together would be more than is allowed."""
    command = [sys.executable, "benchmarks/many_rows.py", "--only", "prepare", "--rows", "8000", "40000"]
    with TemporaryDirectory(dir="/var/tmp") as folder:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": folder}
        ran = subprocess.run(
            [*command, "--marks", "memory"], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300
        )
    assert ran.returncode == 0, ran.stdout + ran.stderr
