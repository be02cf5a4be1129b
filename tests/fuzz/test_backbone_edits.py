"""A tenth of what benchmarks/backbone_edits.py tries: edits of a backbone's files, held against transformers."""

from __future__ import annotations

import pytest

from .trial import Bench

EDITS, HARMLESS, SLIPS = 30, 8, 1


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("bench"))


def test_edits_are_refused_where_transformers_refuses_them(bench: Bench) -> None:
    seen = list(bench.run(EDITS, seed=0))
    assert sum(one.edit.is_read for one in seen) >= 2 * EDITS / 3
    assert [one for one in seen if one.is_broken] == []
    assert [one for one in seen if one.is_wronged] == []
    assert len([one for one in seen if one.has_slipped]) <= SLIPS
    assert {one.status for one in seen} == {0, 1}, "some pass and some do not, else nothing is tried"


def test_harmless_edits_pass(bench: Bench) -> None:
    seen = list(bench.run(HARMLESS, seed=0, is_harmless=True))
    assert [one for one in seen if one.status or one.later] == []


def test_a_seed_draws_the_same_edits(bench: Bench) -> None:
    first, second = ([one.edit for one in bench.run(3, seed=5)] for _ in range(2))
    assert first == second
