"""Reads the rows of a split and turns them into arrays by the bundle's preprocessing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count, islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ...runtime.rows import Rows
from .. import variants
from ..contracts.head import Packing, Target
from ..contracts.stage import Stage
from ..diagnostics import Diagnostic, Refused, Row, clean, refuse
from ..execution.prepared import ArrayFile, Block, RowWriter
from ..execution.preprocessing import preprocessor
from ..execution.scratch import Scratch
from ..execution.work import Work
from ..facts.bad_rows import numbers
from ..facts.rows import SKIP, Opened, fingerprint, lacks, rows
from ..planning.plan import Phase, SplitPlan, TaskPlan
from ..planning.split import held_out
from ..store.hashes import identity

WITHIN = 40  # bits of a row's number for its place in the table; the bits above are the table's number
MOST = 20  # the most unreadable inputs in a message
CHUNK = 1000  # rows handed to the tokenizer at once
BLOCK = 1 << 20  # rows handled at a time when places are written


class Read(NamedTuple):
    """A row of a split's tables: its number among all rows, its table and place, its values and its input."""

    number: int
    table: Opened
    row: int
    values: Mapping[str, Any]
    input: Any


def run(work: Work) -> None:
    """Writes the arrays of a split's rows, and `held_out.npy` where the split is held out of the training rows.

    Rows are read, prepared and written one block at a time. Raises Refused E0405 where data changed since planning.
    """
    task, split = work.task, work.task.split(work.split)
    assert split is not None
    head = task.head.variant
    is_own = own_rows(work.plan, task, split, work.root, work.out)
    if split.held_out is not None:
        assert is_own is not None
        _write_places(work.out / "held_out.npy", is_own)
    rows = _chosen(raw_rows(work.plan, task, split, work.root), is_own)
    blocks = _prepared(work, split, rows)
    if head.draw and split.name != "train":  # only training draws inputs anew in each step
        blocks = _drawn(task, blocks)
    if head.packing:
        blocks = _packed(task, head.packing, blocks)
    with RowWriter(work.out, head.ragged_targets) as writer:
        for block in blocks:
            writer.add(block)


def _prepared(work: Work, split: SplitPlan, rows: Iterator[Read]) -> Iterator[Block]:
    """Rows as arrays, with their targets."""
    task, head = work.task, work.task.head.variant
    record, columns, keeps = task.head.record, task.data.columns, head.reference
    processor = preprocessor(work.plan, work.backbone, head.packing is not None)
    with work.progress.steps("rows", split.rows) as advance:
        while chosen := list(islice(rows, CHUNK)):
            made = _rows(work, processor, [row.input for row in chosen])
            targets: list[Target] = []
            for i, row in enumerate(chosen):
                targets += head.target(record, row.values, columns, [made.features[j] for j in made.of(i)])
            references = [keeps(row.values, columns) for row in chosen] if keeps else ()
            yield Block(made.features, targets, made.owners, [row.number for row in chosen], references)
            advance(len(chosen))


def _drawn(task: TaskPlan, blocks: Iterable[Block]) -> Iterator[Block]:
    """Rows with drawn inputs and targets, each drawn from its place alone."""
    draw, places = task.head.variant.draw, count()
    assert draw is not None
    for block in blocks:
        drawn = [
            draw(task.head.record, row, np.random.default_rng([0, i]), False)
            for row, i in zip(block.features, places, strict=False)
        ]
        yield block._replace(features=[row for row, _ in drawn], targets=[target for _, target in drawn])


def _packed(task: TaskPlan, packing: Packing, blocks: Iterable[Block]) -> Iterator[Block]:
    """Texts joined into rows of one length, numbered anew."""
    record, numbers = task.head.record, count()
    packed = packing.pack(record, (row for block in blocks for row in block.features))
    while features := list(islice(packed, CHUNK)):
        targets = [packing.aims(record, row) for row in features]
        yield Block(features, targets, range(len(features)), list(islice(numbers, len(features))))


def _write_places(path: Path, is_own: np.ndarray) -> None:
    """Writes the indices of True in an array of bool: int64 (rows,)."""
    with ArrayFile(path, np.dtype(np.int64)) as file:
        for at in range(0, len(is_own), BLOCK):
            file.add(at + np.flatnonzero(is_own[at : at + BLOCK]))


def split_rows(plan: Phase, task: TaskPlan, split: SplitPlan, root: Path) -> Iterator[Read]:
    """Every usable row of a split, in the order of its tables.

    Training rows leave out held-out rows, and the other way round. Raises Refused as `raw_rows` does.
    """
    return _chosen(raw_rows(plan, task, split, root), own_rows(plan, task, split, root))


def _chosen(rows: Iterator[Read], is_own: np.ndarray | None) -> Iterator[Read]:
    return rows if is_own is None else (row for row, is_in in zip(rows, is_own, strict=True) if is_in)


def taken_at(rows: Iterable[Read], places: Iterable[int]) -> Iterator[Read]:
    """The rows at some ascending places."""
    ahead = iter(places)
    wanted = next(ahead, None)
    for place, row in enumerate(rows):
        if place == wanted:
            yield row
            wanted = next(ahead, None)


def own_rows(
    plan: Phase, task: TaskPlan, split: SplitPlan, root: Path, folder: Path | None = None
) -> np.ndarray | None:
    """Which rows of a split's tables belong to the split, bool (rows,); None where all do.

    Where rows are held out, this reads the tables once. `folder` is the place of temporary files.
    """
    validation = task.split("validation")
    share = validation.held_out if validation else None
    if share is None or split.name not in ("train", "validation"):
        return None
    scratch = Scratch(folder)
    strata = scratch.numbers(_strata(plan, task, raw_rows(plan, task, split, root)))
    is_out = held_out(strata, share, plan.seed, scratch.zeros)
    if split.held_out is None:
        np.logical_not(is_out, out=is_out)
    return is_out


def _strata(plan: Phase, task: TaskPlan, rows: Iterable[Read]) -> Iterator[int]:
    """The stratum of each row: from its head, or, where several heads share rows, the set of heads that a row is for.

    So all heads hold out the same rows, and no row tests one head and teaches another.
    """
    together = plan.together(task.name)
    if len(together) > 1:
        heads = [(_answers(plan.task(name)), _skipped(plan.task(name))) for name in together]
        for row in rows:
            has = (row.number not in out and not lacks(row.values, names) for names, out in heads)
            yield sum(1 << i for i, is_there in enumerate(has) if is_there)
        return
    # planning numbers labels by first appearance; this must give equal groups, so it numbers them alike
    seen: dict[Any, int] = {}
    for row in rows:
        yield seen.setdefault(task.head.variant.stratum(row.values, task.data.columns), len(seen))


def _skipped(task: TaskPlan) -> frozenset[int]:
    """The numbers of training rows that are left out for a task."""
    train = task.split("train")
    tables = enumerate(train.tables) if train else ()
    return frozenset(at << WITHIN | number for at, table in tables for number in numbers(table.skipped))


def _answers(task: TaskPlan) -> list[str]:
    """The columns that hold the targets of a task."""
    return [name for role in task.head.variant.targets for name in task.data.columns.get(role, ())]


def _rows(work: Work, processor: Any, inputs: list[Any]) -> Rows:
    try:
        found: Rows = processor.rows(inputs)
        return found
    except ValueError:
        if wrong := list(_unreadable(work, processor)):
            raise Refused((_refusal(wrong),)) from None
        raise


def _unreadable(work: Work, processor: Any) -> Iterator[tuple[Row, str]]:
    """Every input of a task, of any split, that can't be read, with the reason."""
    seen: set[tuple[str, int]] = set()
    for split in work.task.data.splits:
        for read in raw_rows(work.plan, work.task, split, work.root):
            if (read.table.shown, read.row) not in seen:
                seen.add((read.table.shown, read.row))
                try:
                    processor.rows([read.input])
                except ValueError as error:
                    yield read.table.row(read.row), str(error)


def _refusal(wrong: Sequence[tuple[Row, str]]) -> Diagnostic:
    """One finding for all unreadable inputs, at the first."""
    (at, reason), count = wrong[0], len(wrong)
    if count == 1:
        return Diagnostic("E0316", "an input can't be read", at, notes=(reason,), help=f"mend it, or {SKIP}")
    notes = tuple(f"{clean(p.file)}{f':{p.number}' * bool(p.number)}: {why}" for p, why in wrong[:MOST])
    more = (f"… {count - MOST} more",) if count > MOST else ()
    return Diagnostic(
        "E0316", f"{count:,} inputs can't be read", at, notes=(*notes, *more), help=f"mend them, or {SKIP}"
    )


def raw_rows(plan: Phase, task: TaskPlan, split: SplitPlan, root: Path) -> Iterator[Read]:
    """Every row of a split's tables that is for a task, without rows that are left out.

    Heads that share rows see the same number for a row, but skip rows without a target of theirs. Each table is hashed,
    with the files that its rows name, before its first row is given; so tables are streamed. Raises Refused E0405 at a
    table that changed since planning.
    """
    reader = variants.reader(task.head.type)
    answers = _answers(task) if len(plan.together(task.name)) > 1 else []
    for at, table in enumerate(split.tables):
        opened = Opened.again(root, table.path, table.format, table.split, numbers(table.skipped))
        before = identity(opened.path)
        if not before:
            next(rows(opened), None)  # raises the reason why it can't be read
        found = _sound(task, opened)
        named = (file for _, values in found for file in reader.files(values, task.data.columns, opened.folder))
        changed = refuse("E0405", f"`{table.path}` changed since it was planned", help="plan again")
        if fingerprint(opened, named if reader.in_files else ()) != table.sha256:
            raise changed
        for number, values in _sound(task, opened):
            if not answers or not lacks(values, answers):
                raw = reader.raw(values, task.data.columns, opened.folder)
                yield Read(at << WITHIN | number, opened, number, values, raw)
        if identity(opened.path) != before:
            raise changed


def _sound(task: TaskPlan, table: Opened) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """The rows of a table with their cells in the form that the head reads."""
    spelt = task.head.variant.spelt
    for number, written in rows(table):
        yield number, spelt(task.head.record, written, task.data.columns) if spelt else written


def inputs_of(plan: Phase, task: TaskPlan, split: SplitPlan, root: Path, wanted: Iterable[int]) -> Iterator[Any]:
    """The raw inputs of rows of a split's tables, by their ascending numbers."""
    ahead = iter(wanted)
    number = next(ahead, None)
    for row in raw_rows(plan, task, split, root):
        if row.number == number:
            yield row.input
            number = next(ahead, None)
    assert number is None  # all rows were found


STAGE = Stage(run=run)
