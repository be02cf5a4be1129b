"""A slice of the matrix in full, and all of it as far as validation goes; benchmarks/matrix.py builds every cell."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from graftc.compiler import variants
from graftc.compiler.backbones import bert
from graftc.compiler.methods import CAPABILITIES

from . import cells
from .cells import Cell

# each head meets each family once, and the methods take turns
SLICE = [
    Cell(head, cells.METHODS[(i * len(cells.FAMILIES) + j) % len(cells.METHODS)], family)
    for i, head in enumerate(cells.HEADS)
    for j, family in enumerate(cells.FAMILIES)
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("matrix")


def test_the_slice_covers_every_head_method_and_family() -> None:
    assert len(SLICE) >= 40
    assert {cell.head for cell in SLICE} == set(cells.HEADS)
    assert {cell.method for cell in SLICE} == set(cells.METHODS) >= set(cells.NAMED)
    assert {cell.family for cell in SLICE} == set(cells.FAMILIES)


@pytest.mark.parametrize("cell", SLICE, ids=str)
def test_a_cell_is_built_or_refused(cell: Cell, folder: Path) -> None:
    found = cells.run(cell, folder)
    assert found.outcome in ("built", "refused"), found.why


def test_validation_takes_every_cell_or_names_what_the_family_lacks_and_what_works(folder: Path) -> None:
    planned: dict[tuple[str, str], set[str]] = {}
    refused = {}
    for cell in cells.every():
        _, plan, refusal = cells.judge(cell, folder)
        if plan is None:
            assert refusal.outcome == "refused", f"{cell}: {refusal.why}"
            refused[cell] = refusal
        else:
            planned.setdefault((cell.head, cell.family), set()).add(cell.method)
    assert {refusal.why for refusal in refused.values()} < cells.REFUSALS
    for cell, refusal in refused.items():
        assert set(refusal.works) == planned[cell.head, cell.family], cell


def test_the_list_of_capabilities_is_closed_and_each_is_needed() -> None:
    needed = frozenset().union(*(variants.method(word).needs for word in cells.METHODS))
    assert needed == CAPABILITIES.keys()


def test_a_refusal_goes_by_what_a_backbone_has_and_not_by_its_name(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = Cell("text-classification", "prefix", "bert")
    assert cells.judge(cell, folder)[1] is not None
    family = variants.family("bert")
    monkeypatch.setattr(bert, "FAMILY", replace(family, provides=family.provides - {"past-key-values"}))
    assert cells.judge(cell, folder)[2].why == "needs attention that takes past key values"
