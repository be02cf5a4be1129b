"""`graftc init` gives a user an example that works, and never takes anything away."""

from __future__ import annotations

from pathlib import Path

import pytest

from graftc.compiler.cli import main
from graftc.compiler.cli.init import EXAMPLES
from graftc.compiler.language.source import read

NAMES = sorted(path.stem for path in EXAMPLES.glob("*.yaml"))


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(*words: str) -> int:
    """The exit status of a command."""
    try:
        main(["init", *words])
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def snapshot(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_without_arguments_it_lists_every_example_with_its_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == 0
    out = capsys.readouterr().out
    for name in NAMES:
        line = next(line for line in out.splitlines() if line.split()[:1] == [name])
        assert len(line.split()) > 4, f"specs/{name}.yaml begins without a sentence about it"
    assert not list(Path().iterdir())


@pytest.mark.parametrize("name", NAMES)
def test_an_example_comes_with_its_data(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(name) == 0
    spec = Path(name) / f"{name}.yaml"
    assert f"graftc validate {spec.name}" in capsys.readouterr().out
    assert spec.read_bytes() == (EXAMPLES / spec.name).read_bytes()
    data = read(spec).data["data"]
    for table in (data.get(split) for split in ("train", "validation", "test")):
        assert not isinstance(table, str) or (spec.parent / table).exists()
    backbone = read(spec).data.get("backbone", {}).get("from", "")
    assert not backbone.startswith("./") or (spec.parent / backbone / "config.json").is_file()
    assert (spec.parent / "data" / "README.md").is_file(), "licences of the data stay with it"
    assert (spec.parent / "schema.json").is_file(), "an editor finds it by the spec's second line"
    assert sorted(p.name for p in Path().iterdir()) == [name]


def test_several_examples_share_a_folder() -> None:
    assert [run(name, ".") for name in NAMES] == [0] * len(NAMES)
    assert all(Path(f"{name}.yaml").is_file() for name in NAMES)


def test_nothing_is_overwritten(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("tickets", "mine") == 0
    Path("mine/tickets.yaml").write_text("my work")
    Path("mine/notes.txt").write_text("more of it")
    before = snapshot(Path())
    assert run("tickets", "mine") == 1
    assert "error[E0501]: `mine/tickets.yaml` is there already" in capsys.readouterr().err
    assert snapshot(Path()) == before


def test_a_single_file_in_the_way_is_enough() -> None:
    place = Path("mine/data/tickets/test.jsonl")
    place.parent.mkdir(parents=True)
    place.write_text("{}")
    before = snapshot(Path())
    assert run("tickets", "mine") == 1
    assert snapshot(Path()) == before


def test_a_file_is_no_folder(capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine").write_text("a file")
    assert run("tickets", "mine") == 1
    assert "E0501" in capsys.readouterr().err
    assert Path("mine").read_text() == "a file"


def test_a_full_disk_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "mine")

    monkeypatch.setattr("shutil.copyfile", full)
    assert run("tickets", "mine") == 4
    assert "E0410" in capsys.readouterr().err
    assert not list(Path().iterdir())


def test_a_misspelt_example_is_a_matter_of_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("ticket") == 2
    assert "did you mean `tickets`?" in capsys.readouterr().err
