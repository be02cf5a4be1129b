"""Heads that write a text of another: a slice is built, and validation judges every cell."""

from __future__ import annotations

from pathlib import Path

import pytest

from . import cells
from .cells import Cell

# where the language model is one with the embedding, a probe has nothing to learn, which validation says
METHODS = tuple(word for word in cells.METHODS if word != "probe")
# each family once, and the heads and methods take turns
SLICE = [
    Cell(cells.WRITERS[i % len(cells.WRITERS)], method, cells.SEQUENCES[i % len(cells.SEQUENCES)])
    for i, method in enumerate(METHODS)
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("writers")


@pytest.mark.parametrize("cell", SLICE, ids=str)
def test_a_cell_is_built_or_refused(cell: Cell, folder: Path) -> None:
    found = cells.run(cell, folder)
    assert found.outcome in ("built", "refused"), found.why


def test_validation_takes_every_cell_or_names_what_the_family_lacks(folder: Path) -> None:
    taken, refused = set(), set()
    for cell in cells.every(cells.WRITERS, METHODS, cells.SEQUENCES):
        _, plan, refusal = cells.judge(cell, folder)
        if plan is None:
            assert refusal.outcome == "refused", f"{cell}: {refusal.why}"
            refused.add((cell.method, refusal.why))
        else:
            taken.add(cell.method)
    assert taken >= {"full", "lora", "ia3", "adapter", "layernorm"}
    assert {method for method, _ in refused} >= {"prompt", "prefix", "p-tuning"}
