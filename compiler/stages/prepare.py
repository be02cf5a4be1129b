"""Reads every row once and turns it into arrays, through the preprocessing that the bundle will use."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from .. import variants
from ..diagnostics import Row, refuse
from ..digest import file_sha256
from ..execution.executor import Work
from ..execution.prepared import write_rows
from ..planning.plan import Plan, SplitPlan
from ..planning.split import held_out
from ..world.rows import Opened, fingerprint, rows

CHUNK = 1000  # rows handed to the tokenizer at once


def preprocessor(plan: Plan, backbone: Path) -> Any:
    """The bundle's own preprocessing, reading its assets from the backbone's folder.

    Raises Refused E0405 where one of them is not the one planned.
    """
    for name, planned in plan.data.preprocessing.get("assets", {}).items():
        if file_sha256(backbone / name) != planned:
            raise refuse("E0405", f"the backbone's {name} changed since it was planned", help="plan again")
    module = import_module(f"...runtime.inputs.{plan.data.modality}", __package__)
    return module.Preprocessor(plan.data.preprocessing.plain(), backbone)


def run(work: Work) -> None:
    """Writes a folder of arrays per split; raises Refused E0405 where data changed since planning."""
    plan = work.plan
    processor = preprocessor(plan, work.backbone)
    total = sum(split.rows for split in plan.data.splits)
    with work.progress.steps("rows", total) as advance:
        train = plan.split("train")
        validation = plan.split("validation")
        assert train is not None
        taken = validation is not None and validation.held_out is not None
        for split in plan.data.splits:
            if split.held_out is not None:
                continue
            features, targets = _split(work, split, processor, advance)
            if split is train and taken and validation is not None and validation.held_out is not None:
                out = _held(plan, targets, validation.held_out)
                write_rows(work.out / "validation", [features[i] for i in out], [targets[i] for i in out])
                np.save(work.out / "held_out.npy", np.array(out))
                rest = np.setdiff1d(np.arange(len(targets)), out)
                features, targets = [features[i] for i in rest], [targets[i] for i in rest]
            write_rows(work.out / split.name, features, targets)


def _held(plan: Plan, targets: list[np.ndarray], fraction: float) -> list[int]:
    # the strata of planning count labels by first appearance; equal groups are all that matters, so number them alike
    seen: dict[int, int] = {}
    strata = [seen.setdefault(int(t), len(seen)) if t.ndim == 0 else 0 for t in targets]
    return [int(i) for i in held_out(strata, fraction, plan.seed)]


def _split(
    work: Work, split: SplitPlan, processor: Any, advance: Any
) -> tuple[list[dict[str, np.ndarray]], list[np.ndarray]]:
    plan = work.plan
    head = variants.load("heads", plan.head.type)
    features: list[dict[str, np.ndarray]] = []
    targets: list[np.ndarray] = []
    numbered = raw_rows(plan, split, work.root)
    while chunk := list(islice(numbered, CHUNK)):
        places, values, inputs = zip(*chunk, strict=True)
        features += _features(processor, list(places), list(inputs))
        targets += [head.target(plan.head.record, row, plan.data.columns) for row in values]
        advance(len(chunk))
    return features, targets


def _features(processor: Any, places: list[Row], inputs: list[Any]) -> list[dict[str, np.ndarray]]:
    try:
        found: list[dict[str, np.ndarray]] = processor.features(inputs)
        return found
    except ValueError:
        for place, value in zip(places, inputs, strict=True):
            try:
                processor.features([value])
            except ValueError as error:
                raise refuse("E0316", "an input can't be read", str(error), at=place) from None
        raise


def raw_rows(plan: Plan, split: SplitPlan, root: Path) -> Iterator[tuple[Row, dict[str, Any], Any]]:
    """(place, values, input) of every row of a split's tables.

    Raises Refused E0405 at the end of a table that is not the one planned.
    """
    module = variants.load("inputs", plan.data.modality)
    for table in split.tables:
        path = root / table.path
        if table.split and (path / table.split).is_dir():
            path = path / table.split
        opened = Opened(path, table.path, table.format, table.split if path.is_file() else None)
        files: list[Path] = []
        held = []
        for number, values in rows(opened):
            files += module.files(values, plan.data.columns, opened.folder)
            held.append((Row(table.path, number), values, module.raw(values, plan.data.columns, opened.folder)))
        if fingerprint(opened, files) != table.sha256:
            raise refuse("E0405", f"`{table.path}` changed since it was planned", help="plan again")
        yield from held
