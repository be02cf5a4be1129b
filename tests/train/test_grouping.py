"""Rows of like length share a batch; every row is seen once an epoch, and the order is a matter of the seed alone."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graftc.compiler.planning.split import epoch_order, grouped_by_length
from graftc.compiler.training.mixed_batches import batches

from ..backbones import tiny
from . import running
from .test_feature_caching import write


@pytest.mark.parametrize("rows", [1, 7, 32, 1000, 6920])
def test_an_order_by_length_has_every_row_once_and_keeps_batches_full(rows: int) -> None:
    lengths = np.random.default_rng(0).integers(3, 60, rows)
    order = epoch_order(rows, 0, 0)
    found = grouped_by_length(order, lengths, 32, 0, 0)
    assert sorted(found.tolist()) == list(range(rows))
    assert not np.array_equal(found, grouped_by_length(order, lengths, 32, 0, 1)) or rows < 100, (
        "another epoch, another order"
    )
    assert np.array_equal(found, grouped_by_length(order, lengths, 32, 0, 0))


def padded(lengths: np.ndarray, order: np.ndarray, batch: int = 32) -> int:
    """Tokens that a pass computes, padding and all."""
    parts = [lengths[order[at : at + batch]] for at in range(0, len(order), batch)]
    return sum(len(part) * int(part.max()) for part in parts)


def test_hardly_anything_is_padding() -> None:
    lengths = np.random.default_rng(0).integers(3, 60, 6920)
    order = epoch_order(len(lengths), 0, 0)
    assert (
        padded(lengths, grouped_by_length(order, lengths, 32, 0, 0))
        < 1.05 * lengths.sum()
        < padded(lengths, order) / 1.5
    )


def of_run(tmp_path: Path, **train: Any) -> tuple[np.ndarray, list[list[int]]]:
    """The length of each training row, and the batches of the first epoch."""
    spec = write(tmp_path, train={"epochs": 1, "batch_size": 8, **train})
    plan, _, run = running.training(spec, tmp_path / f"store{len(train)}")
    (rows,) = run.sets
    drawn = [chosen for _, chosen in batches(run.sets, plan, 0)]
    lengths = np.zeros(max(map(max, drawn)) + 1, np.int64)
    lengths[rows.every] = rows.rows[0].prepared.longest()
    return lengths, drawn


def test_training_groups_unless_it_is_told_not_to(tmp_path: Path) -> None:
    tiny.save("bert", tmp_path / "backbone")
    lengths, grouped = of_run(tmp_path)
    _, mixed = of_run(tmp_path, group_by_length=False)
    assert sorted(chain(*grouped)) == sorted(chain(*mixed))
    assert [len(batch) for batch in grouped] == [len(batch) for batch in mixed]
    spread = [sum(int(np.ptp(lengths[batch])) for batch in drawn) for drawn in (grouped, mixed)]
    assert spread[0] < 0.7 * spread[1]
