"""Fourteen trainings that something is wrong with are named as planted, and in six sound ones nothing is found."""

from __future__ import annotations

from pathlib import Path

import pytest

from . import planted


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that all cases share, beside the backbone that they share."""
    folder = tmp_path_factory.mktemp("planted")
    planted.backbone(folder / "backbone")
    return folder / "store"


@pytest.mark.parametrize("name", planted.PLANTED)
def test_what_is_planted_is_named(name: str, store: Path, tmp_path: Path) -> None:
    case = planted.PLANTED[name]
    assert planted.codes(planted.findings(case, tmp_path / "case", store)) == case.codes


@pytest.mark.parametrize("name", planted.SOUND)
def test_in_a_sound_training_nothing_is_found(name: str, store: Path, tmp_path: Path) -> None:
    assert planted.findings(planted.SOUND[name], tmp_path / "case", store) == []


def test_there_are_fourteen_and_every_finding_is_among_them() -> None:
    assert len(planted.PLANTED) == 14
    assert len(planted.SOUND) == 6
    named = {code for case in planted.PLANTED.values() for code in case.codes}
    assert named == {f"W{number:04}" for number in range(435, 448)}
