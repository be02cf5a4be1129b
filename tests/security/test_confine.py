"""Door 7: with `--confine` nothing is opened that a spec, a table, a row or a lock names elsewhere, and nothing of it is said."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ..front.cli import Answer, Command
from . import ways_out
from .ways_out import SECRET, WAYS, Place, Way

FORMATS = ("json", "sarif", "github")
_watched: list[tuple[str, set[str]]] = []


def _see(event: str, arguments: tuple[Any, ...]) -> None:
    """Notes files and folders that Python opens in a watched folder; hooks stay for the life of a process."""
    if (
        _watched
        and event in ("open", "os.listdir", "os.scandir")
        and isinstance(arguments[0], str | bytes | os.PathLike)
    ):
        real = os.path.realpath(os.fsdecode(arguments[0]))
        for folder, seen in _watched:
            if real == folder or real.startswith(folder + os.sep):
                seen.add(real)


sys.addaudithook(_see)


@contextmanager
def watched(folder: Path) -> Iterator[set[str]]:
    seen: set[str] = set()
    _watched.append((os.path.realpath(folder), seen))
    try:
        yield seen
    finally:
        _watched.pop()


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Somebody stands in the checkout; the secret is in the environment, too."""
    found = ways_out.lay(tmp_path)
    monkeypatch.chdir(found.checkout)
    monkeypatch.setenv("GRAFTC_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("PASSWORD", SECRET)
    return found


@pytest.fixture
def graftc(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys)


def written(place: Place) -> Iterator[Path]:
    """Files in the checkout and the store that hold the secret, those apart that hold it by the way that was laid."""
    for folder in (place.checkout, place.folder / "store"):
        for file in folder.rglob("*"):
            is_own = file.is_file() and not file.is_symlink() and ".git" not in file.parts
            if is_own and os.path.realpath(file).startswith(str(folder)) and SECRET.encode() in file.read_bytes():
                yield file


def is_silent(answer: Answer) -> bool:
    return SECRET not in answer.out + answer.err


def test_the_spec_itself_is_fine(place: Place, graftc: Command) -> None:
    assert graftc("validate", "spec.yaml", "--confine", ".").status == 0


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_a_way_out_is_refused_at_its_place(place: Place, graftc: Command, way: Way) -> None:
    way.lay(place)
    with watched(place.elsewhere) as opened:
        answer = graftc(*way.words, "--confine", place.checkout)
        form = FORMATS[WAYS.index(way) % len(FORMATS)]
        other = graftc(*way.words, "--confine", ".", *(("--format", form) if way.words[0] == "validate" else ()))
    assert (answer.status, other.status) == (1, 1), answer.err
    found = next((each for each in answer.findings if each.code == way.code), None)
    assert found, answer.err
    assert way.place in (found.place + found.under if way.place else found.place), answer.err
    assert found.notes
    assert is_silent(answer), answer.err
    assert is_silent(other), other.out
    assert not opened
    assert not [*written(place)]


def test_there_are_forty() -> None:
    assert len({way.name for way in WAYS}) == len(WAYS) >= 40


@pytest.mark.parametrize("name", ["nothing", ".netrc"])
def test_it_is_not_said_whether_something_lies_there(place: Place, graftc: Command, name: str) -> None:
    place.spec(ways_out.data(f"{{from: ../elsewhere/{name}, format: txt}}"))
    first = graftc("validate", "spec.yaml", "--confine", ".").err.replace(name, "")
    (place.elsewhere / name).unlink(missing_ok=True)
    assert graftc("validate", "spec.yaml", "--confine", ".").err.replace(name, "") == first
