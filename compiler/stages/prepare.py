"""Reads the rows of a split and turns them into arrays, through the preprocessing that the bundle will use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from ...runtime.rows import Rows
from ...runtime.variants import preprocessing
from .. import variants
from ..contracts.stage import Stage
from ..diagnostics import Diagnostic, Refused, Row, clean, refuse
from ..execution.prepared import NUMBERS, write_rows
from ..execution.work import Work
from ..facts.bad_rows import numbers
from ..facts.rows import SKIP, Opened, fingerprint, lacks, rows
from ..planning.plan import Phase, SplitPlan, TaskPlan
from ..planning.split import held_out
from ..store.hashes import file_sha256

WITHIN = 40  # bits of a row's number within its table; above them, the table's
MOST = 20  # inputs named that can't be read
UNCUT = 1 << 24  # tokens of a text that is not cut
CHUNK = 1000  # rows handed to the tokenizer at once


class Read(NamedTuple):
    """A row of a split's tables: its number among all of them, where it stands, its values and its input."""

    number: int
    table: Opened
    row: int
    values: Mapping[str, Any]
    input: Any


def preprocessor(
    plan: Phase, backbone: Path, is_whole: bool = False, otherwise: Mapping[str, Any] = MappingProxyType({})
) -> Any:
    """The bundle's own preprocessing, reading its assets from the backbone's folder; with `is_whole` it cuts nothing.

    `otherwise` replaces fields of its record.

    Raises Refused E0405 where one of them is not the one planned.
    """
    assets = {k: v for record in plan.reading.readings.values() for k, v in record.get("assets", {}).items()}
    for name, planned in assets.items():
        if file_sha256(backbone / name) != planned:
            raise refuse("E0405", f"the backbone's {name} changed since it was planned", help="plan again")
    uncut = {"max_length": UNCUT} if is_whole else {}
    return preprocessing(plan.reading.modality).preprocessor(
        plan.reading.preprocessing.plain() | uncut | dict(otherwise), backbone
    )


def run(work: Work) -> None:
    """Writes the arrays of a split's rows, and `held_out.npy` where they are a share of the training rows.

    Raises Refused E0405 where data changed since planning.
    """
    task, split = work.task, work.task.split(work.split)
    assert split is not None
    head, record, columns = task.head.variant, task.head.record, task.data.columns
    read, kept = split_rows(work.plan, task, split, work.root)
    if split.held_out is not None:
        np.save(work.out / "held_out.npy", kept)
    packing = head.packing
    processor = preprocessor(work.plan, work.backbone, packing is not None)
    features: list[dict[str, np.ndarray]] = []
    targets: list[np.ndarray] = []
    owners: list[int] = []
    with work.progress.steps("rows", len(kept)) as advance:
        for at in range(0, len(kept), CHUNK):
            chosen = [read[i] for i in kept[at : at + CHUNK]]
            rows = _rows(work, processor, [row.input for row in chosen])
            features += rows.features
            owners += [at + int(owner) for owner in rows.owners]
            for i, row in enumerate(chosen):
                targets += head.target(record, row.values, columns, [rows.features[j] for j in rows.of(i)])
            advance(len(chosen))
    if head.draw and split.name != "train":  # what training draws anew for each step is asked once
        drawn = [head.draw(record, row, np.random.default_rng([0, i]), False) for i, row in enumerate(features)]
        features, targets = [row for row, _ in drawn], [target for _, target in drawn]
    if packing:
        features = packing.pack(record, features)
        targets, owners = [packing.aims(record, block) for block in features], list(range(len(features)))
    keeps = head.reference
    references = [keeps(read[i].values, columns) for i in kept] if keeps else ()
    places = range(len(features)) if packing else [read[i].number for i in kept]  # of blocks of text, their own
    np.save(work.out / NUMBERS, np.array(places, np.int64))
    write_rows(work.out, features, targets, np.array(owners), head.per_token, references)


def split_rows(plan: Phase, task: TaskPlan, split: SplitPlan, root: Path) -> tuple[list[Read], np.ndarray]:
    """Every row of a split's tables that can be used, and which of them are the split's: int64 of shape (rows,), sorted.

    Of training rows those that are held out are no part, and the other way round. Raises Refused as `raw_rows` does.
    """
    read = list(raw_rows(plan, task, split, root))
    return read, _kept(plan, task, split, read)


def _kept(plan: Phase, task: TaskPlan, split: SplitPlan, read: Sequence[Read]) -> np.ndarray:
    """Which rows of a split's tables are the split's: those held out, those that are left, or all."""
    validation = task.split("validation")
    share = validation.held_out if validation else None
    every = np.arange(len(read))
    if share is None or split.name not in ("train", "validation"):
        return every
    out = held_out(_strata(plan, task, read), share, plan.seed)
    return out if split.held_out is not None else np.setdiff1d(every, out)


def _strata(plan: Phase, task: TaskPlan, read: Sequence[Read]) -> list[int]:
    """What rows are held out by: what their head says, or where several learn from them, for which of these they are.

    Then the same rows are held out for all, and none tests one head that taught another.
    """
    together = plan.together(task.name)
    if len(together) > 1:
        heads = [(_answers(plan.task(name)), _skipped(plan.task(name))) for name in together]
        return [
            sum(
                1 << i for i, (names, out) in enumerate(heads) if row.number not in out and not lacks(row.values, names)
            )
            for row in read
        ]
    # the strata of planning count labels by first appearance; equal groups are all that matters, so number them alike
    seen: dict[Any, int] = {}
    return [seen.setdefault(task.head.variant.stratum(row.values, task.data.columns), len(seen)) for row in read]


def _skipped(task: TaskPlan) -> frozenset[int]:
    """The training rows that are left out for a task, by number."""
    train = task.split("train")
    tables = enumerate(train.tables) if train else ()
    return frozenset(at << WITHIN | number for at, table in tables for number in numbers(table.skipped))


def _answers(task: TaskPlan) -> list[str]:
    """The columns that hold the answers of a task."""
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
    """Every input of any split of a task that can't be read, and why."""
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
    """One finding for all of them, at the first."""
    (at, reason), count = wrong[0], len(wrong)
    if count == 1:
        return Diagnostic("E0316", "an input can't be read", at, notes=(reason,), help=f"mend it, or {SKIP}")
    notes = tuple(f"{clean(p.file)}{f':{p.number}' * bool(p.number)}: {why}" for p, why in wrong[:MOST])
    more = (f"… {count - MOST} more",) if count > MOST else ()
    return Diagnostic(
        "E0316", f"{count:,} inputs can't be read", at, notes=(*notes, *more), help=f"mend them, or {SKIP}"
    )


def raw_rows(plan: Phase, task: TaskPlan, split: SplitPlan, root: Path) -> Iterator[Read]:
    """Every row of a split's tables that is for a task, without those that are left out.

    Where several read them together, a row may have no answer for one; its number is the same for all.

    Raises Refused E0405 at the end of a table that is not the one planned.
    """
    reader, spelt = variants.reader(task.head.type), task.head.variant.spelt
    answers = _answers(task) if len(plan.together(task.name)) > 1 else []
    for at, table in enumerate(split.tables):
        opened = Opened.again(root, table.path, table.format, table.split, numbers(table.skipped))
        files: list[Path] = []
        held: list[Read] = []
        for number, written in rows(opened):
            values = spelt(task.head.record, written, task.data.columns) if spelt else written
            files += reader.files(values, task.data.columns, opened.folder)
            if not answers or not lacks(values, answers):
                raw = reader.raw(values, task.data.columns, opened.folder)
                held.append(Read(at << WITHIN | number, opened, number, values, raw))
        if fingerprint(opened, files) != table.sha256:
            raise refuse("E0405", f"`{table.path}` changed since it was planned", help="plan again")
        yield from held


STAGE = Stage(run=run)
