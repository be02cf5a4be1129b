"""What is refused of a build of several specs, before the first of them trains."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from . import ground
from .cli import Command


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two specs of one name; the test stands in it."""
    ground.lay(tmp_path)
    monkeypatch.chdir(tmp_path)
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text(ground.SPEC)
    return tmp_path


def test_two_specs_that_build_into_one_folder_are_refused(folder: Path, graftc: Command) -> None:
    answer = graftc("build", "a.yaml", "b.yaml", "--store", "store")
    assert (answer.status, answer.codes) == (1, ["E0415"])
    assert not (folder / "store").exists()
    assert not (folder / "bundles").exists()


def test_other_ways_to_one_folder_are_refused_as_well(folder: Path, graftc: Command) -> None:
    (folder / "more").mkdir()
    moved = (
        ground.SPEC.replace("./backbone", "../backbone").replace(": train.", ": ../train.").replace(": val", ": ../val")
    )
    (folder / "more" / "b.yaml").write_text(moved)
    assert graftc("build", "b.yaml", "more/b.yaml", "-o", "out").codes == ["E0415"]
    assert graftc("build", "b.yaml", "./b.yaml").codes == ["E0415"]


def test_a_later_spec_that_is_wrong_stops_the_first(folder: Path, graftc: Command) -> None:
    (folder / "b.yaml").write_text(ground.replaced("train:\n  epoch: 2\n"))
    (folder / "c.yaml").write_text(ground.replaced("adapt:\n  method: loar\n"))
    answer = graftc("build", "a.yaml", "b.yaml", "c.yaml", "--store", "store")
    assert answer.status == 1
    assert [(found.code, found.place.split(":")[0]) for found in answer.findings] == [
        ("E0201", "b.yaml"),
        ("E0203", "c.yaml"),
    ]
    assert not (folder / "store").exists()


def test_an_output_that_can_not_be_written_is_noticed_before_any_work(folder: Path, graftc: Command) -> None:
    if os.geteuid():
        (folder / "locked").mkdir(mode=0o500)
        place, code = "locked/out", "E0412"
    else:
        place, code = "/proc/out", "E0412"  # nobody creates files there
    answer = graftc("build", "a.yaml", "-o", f"{place}/bundle", "--store", "store")
    assert (answer.status, answer.codes) == (4, [code])
    assert place.rpartition("/")[0] in answer.err
    answer = graftc("build", "a.yaml", "-o", "b.yaml/bundle", "--store", "store")
    assert (answer.status, answer.codes) == (1, ["E0501"])
    assert not (folder / "store").exists()
