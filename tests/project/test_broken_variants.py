"""A variant whose record is wrong never runs: the type checker names its file and its line."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .broken import heads, inputs, methods, runtime
from .broken.case import Case
from .copied import ROOT

CASES = (*heads.CASES, *methods.CASES, *inputs.CASES, *runtime.CASES)
ERROR = re.compile(r"(?P<file>[^:]+):(?P<line>\d+): error: (?P<says>.*)")


def name(number: int) -> str:
    """The file of a case, which lies beside what it is a copy of."""
    return f"{Path(CASES[number].file).parent}/broken_{number}.py"


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[tuple[int, str]]]:
    """What mypy says of the broken copies in a copy of the package, run once for all: lines and messages by file."""
    folder = tmp_path_factory.mktemp("broken")
    shutil.copytree(ROOT / "graftc", folder / "graftc", ignore=shutil.ignore_patterns("__pycache__", "data"))
    shutil.copyfile(ROOT / "pyproject.toml", folder / "pyproject.toml")
    files = [f"graftc/{name(i)}" for i in range(len(CASES))]
    for file, case in zip(files, CASES, strict=True):
        whole = (ROOT / case.file).read_text()
        assert whole.count(case.old) == 1, f"{case.file} has changed: write another case"
        (folder / file).write_text(whole.replace(case.old, case.new))
    command = [sys.executable, "-m", "mypy", "--cache-dir", "cache", *files]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 1, done.stderr + done.stdout
    found: dict[str, list[tuple[int, str]]] = {}
    for hit in map(ERROR.match, done.stdout.splitlines()):
        if hit:
            file = hit["file"].removeprefix("graftc/")
            found.setdefault(file, []).append((int(hit["line"]), hit["says"]))
    return found


@pytest.mark.parametrize(
    "number", range(len(CASES)), ids=lambda i: f"{CASES[i].file}-{CASES[i].old.strip()} → {CASES[i].new.strip()}"
)
def test_its_file_and_line_are_named(said: dict[str, list[tuple[int, str]]], number: int) -> None:
    case: Case = CASES[number]
    ((line, message),) = said[name(number)]
    assert message.startswith(case.says)
    text = (ROOT / case.file).read_text().replace(case.old, case.new).splitlines()[line - 1]
    assert text.strip().startswith(case.at)


def test_nothing_else_is_wrong(said: dict[str, list[tuple[int, str]]]) -> None:
    assert set(said) == {name(i) for i in range(len(CASES))}
