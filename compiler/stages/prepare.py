"""Reads the rows of a split and turns them into arrays, through the preprocessing that the bundle will use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from ...runtime.rows import Rows
from .. import variants
from ..diagnostics import Row, refuse
from ..digest import file_sha256
from ..execution.prepared import NUMBERS, write_rows
from ..execution.work import Work
from ..planning.plan import Phase, SplitPlan, TaskPlan
from ..planning.split import held_out
from ..world.rows import Opened, fingerprint, lacks, rows

UNCUT = 1 << 24  # tokens of a text that is not cut
CHUNK = 1000  # rows handed to the tokenizer at once


def preprocessor(
    plan: Phase, backbone: Path, is_whole: bool = False, otherwise: Mapping[str, Any] = MappingProxyType({})
) -> Any:
    """The bundle's own preprocessing, reading its assets from the backbone's folder; with `is_whole` it cuts nothing.

    `otherwise` replaces fields of its record.

    Raises Refused E0405 where one of them is not the one planned.
    """
    for name, planned in plan.reading.preprocessing.get("assets", {}).items():
        if file_sha256(backbone / name) != planned:
            raise refuse("E0405", f"the backbone's {name} changed since it was planned", help="plan again")
    module = import_module(f"...runtime.inputs.{plan.reading.modality}", __package__)
    uncut = {"max_length": UNCUT} if is_whole else {}
    return module.Preprocessor(plan.reading.preprocessing.plain() | uncut | dict(otherwise), backbone)


def run(work: Work) -> None:
    """Writes the arrays of a split's rows, and `held_out.npy` where they are a share of the training rows.

    Raises Refused E0405 where data changed since planning.
    """
    task, split = work.task, work.task.split(work.split)
    assert split is not None
    head, record, columns = variants.top(task.head.type), task.head.record, task.data.columns
    read = list(raw_rows(work.plan, task, split, work.root))
    kept = _kept(work.plan, task, split, [values for _, _, values, _ in read])
    if split.held_out is not None:
        np.save(work.out / "held_out.npy", kept)
    is_packed = hasattr(head, "pack")
    processor = preprocessor(work.plan, work.backbone, is_packed)
    features: list[dict[str, np.ndarray]] = []
    targets: list[np.ndarray] = []
    owners: list[int] = []
    with work.progress.steps("rows", len(kept)) as advance:
        for at in range(0, len(kept), CHUNK):
            chosen = [read[i] for i in kept[at : at + CHUNK]]
            rows = _rows(processor, [place for _, place, _, _ in chosen], [value for *_, value in chosen])
            features += rows.features
            owners += [at + int(owner) for owner in rows.owners]
            for i, (_, _, values, _) in enumerate(chosen):
                targets += head.target(record, values, columns, [rows.features[j] for j in rows.of(i)])
            advance(len(chosen))
    if hasattr(head, "draw") and split.name != "train":  # what training draws anew for each step is asked once
        drawn = [head.draw(record, row, np.random.default_rng([0, i]), False) for i, row in enumerate(features)]
        features, targets = [row for row, _ in drawn], [target for _, target in drawn]
    if is_packed:
        features = head.pack(record, features)
        targets, owners = [head.aims(record, block) for block in features], list(range(len(features)))
    keeps = getattr(head, "reference", None)
    references = [keeps(read[i][2], columns) for i in kept] if keeps else ()
    numbers = range(len(features)) if is_packed else [read[i][0] for i in kept]  # of blocks of text, their own
    np.save(work.out / NUMBERS, np.array(numbers, np.int64))
    write_rows(work.out, features, targets, np.array(owners), getattr(head, "ALONG", False), references)


def _kept(plan: Phase, task: TaskPlan, split: SplitPlan, values: list[dict[str, Any]]) -> np.ndarray:
    """Which rows of a split's tables are the split's: those held out, those that are left, or all."""
    validation = task.split("validation")
    share = validation.held_out if validation else None
    every = np.arange(len(values))
    if share is None or split.name not in ("train", "validation"):
        return every
    out = held_out(_strata(plan, task, values), share, plan.seed)
    return out if split.held_out is not None else np.setdiff1d(every, out)


def _strata(plan: Phase, task: TaskPlan, values: list[dict[str, Any]]) -> list[int]:
    """What rows are held out by: what their head says, or where several learn from them, for which of these they are.

    Then the same rows are held out for all, and none tests one head that taught another.
    """
    together = plan.together(task.name)
    if len(together) > 1:
        answers = [_answers(plan.task(name)) for name in together]
        return [sum(1 << i for i, names in enumerate(answers) if not lacks(row, names)) for row in values]
    head = variants.top(task.head.type)
    stratum = getattr(head, "stratum", lambda row, columns: 0)
    # the strata of planning count labels by first appearance; equal groups are all that matters, so number them alike
    seen: dict[Any, int] = {}
    return [seen.setdefault(stratum(row, task.data.columns), len(seen)) for row in values]


def _answers(task: TaskPlan) -> list[str]:
    """The columns that hold the answers of a task."""
    targets = variants.top(task.head.type).TARGETS
    return [name for role in targets for name in task.data.columns.get(role, ())]


def _rows(processor: Any, places: list[Row], inputs: list[Any]) -> Rows:
    try:
        found: Rows = processor.rows(inputs)
        return found
    except ValueError:
        for place, value in zip(places, inputs, strict=True):
            try:
                processor.rows([value])
            except ValueError as error:
                raise refuse("E0316", "an input can't be read", str(error), at=place) from None
        raise


def raw_rows(
    plan: Phase, task: TaskPlan, split: SplitPlan, root: Path
) -> Iterator[tuple[int, Row, dict[str, Any], Any]]:
    """(number, place, values, input) of every row of a split's tables that is for a task.

    Where several read them together, a row may have no answer for one; the number counts all rows.

    Raises Refused E0405 at the end of a table that is not the one planned.
    """
    module, count = variants.reader(task.head.type), 0
    answers = _answers(task) if len(plan.together(task.name)) > 1 else []
    for table in split.tables:
        path = root / table.path
        if table.split and (path / table.split).is_dir():
            path = path / table.split
        opened = Opened(path, table.path, table.format, table.split if path.is_file() else None)
        files: list[Path] = []
        held: list[tuple[int, Row, dict[str, Any], Any]] = []
        for number, values in rows(opened):
            count += 1
            files += module.files(values, task.data.columns, opened.folder)
            if not answers or not lacks(values, answers):
                raw = module.raw(values, task.data.columns, opened.folder)
                held.append((count - 1, Row(table.path, number), values, raw))
        if fingerprint(opened, files) != table.sha256:
            raise refuse("E0405", f"`{table.path}` changed since it was planned", help="plan again")
        yield from held
