"""Every mistake that was planted is found at its line, and nothing else is."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from . import world
from .corpus import SPECS, ask, planted, show

ALL = sorted(SPECS.glob("*.yaml"))
FEWEST = 150


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small world that the broken specs point into."""
    return world.write(tmp_path_factory.mktemp("world"))


@pytest.mark.parametrize("spec", ALL, ids=lambda spec: spec.stem)
def test_what_was_planted_is_found_and_nothing_else(spec: Path, folder: Path) -> None:
    expected = planted(spec)
    found = ask(Path(shutil.copy(spec, folder / "spec.yaml"))).places
    assert expected, "nothing is planted here"
    assert found == expected, f"missed:{show(expected - found)}\nnot planted:{show(found - expected)}"


def test_there_are_enough_and_of_every_kind() -> None:
    assert len(ALL) >= FEWEST
    counts = [len(planted(spec)) for spec in ALL]
    assert max(counts) <= 4
    assert sum(count > 1 for count in counts) >= len(ALL) // 4


def test_a_world_without_mistakes_is_fine(folder: Path) -> None:
    """Else what is found in a broken spec could come from the files beside it."""
    for backbone, head, data in (
        ("bert", "text-classification", "{train: train.jsonl, validation: validation.csv, columns: {text: body, label: queue}}"),
        ("distilbert", "text-classification", "{train: plain.jsonl, validation: {fraction: 0.25}}"),
        ("bert", "text-classification", "{train: pairs.csv, validation: {fraction: 0.2}, columns: {text: one, text_pair: two, label: same}}"),
        ("bert", "text-classification", "{train: aspects.jsonl, validation: {fraction: 0.2}, columns: {text: review, labels: aspects}}"),
        ("vit", "image-classification", "{train: photos/train, validation: photos/validation}"),
        ("mobilenet", "image-classification", "{train: photos/train.csv, validation: photos/validation.csv, columns: {image: path, label: animal}}"),
    ):  # fmt: skip
        text = f"graftc: 1\nname: fine\nbackbone: {{from: ./{backbone}}}\nhead: {{type: {head}}}\ndata: {data}\n"
        (folder / "fine.yaml").write_text(text, encoding="utf-8")
        assert not ask(folder / "fine.yaml").found, text
