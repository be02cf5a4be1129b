"""Doors 9 and 15: what a runner of GitHub and pre-commit read and run is ours, whatever a checkout holds and is called."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from graftc.compiler.renderers import one_line

from ..front.conftest import Project

ROOT = Path(__file__).resolve().parents[2]
STOP = "::stop-commands::x.yaml"


def test_every_module_that_the_action_runs_is_looked_for_outside_the_checkout() -> None:
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    lines = [line for step in action["runs"]["steps"] for line in step.get("run", "").splitlines() if " -m " in line]
    assert len(lines) == 3
    assert all(" -I -m " in line for line in lines)


def test_a_checkout_that_brings_its_own_venv_is_not_asked(tmp_path: Path) -> None:
    """The attack itself: the step's first line, run in a folder with a `venv.py` that leaves a mark."""
    (tmp_path / "venv.py").write_text("open('mark', 'w').close()")
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    (install,) = [step["run"] for step in action["runs"]["steps"] if step.get("name") == "Install"]
    first = install.splitlines()[0].replace('"$RUNNER_TEMP/graftc"', "--help").replace("python", sys.executable, 1)
    subprocess.run(shlex.split(first), cwd=tmp_path, check=True, capture_output=True)
    assert not (tmp_path / "mark").exists()


def test_a_file_s_name_is_no_flag_to_the_hook() -> None:
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert hook["entry"].split()[-1] == "--"


@pytest.mark.parametrize("is_wrong", [False, True])
def test_no_line_begins_with_a_file_s_name_that_is_a_command(project: Project, is_wrong: bool) -> None:
    text = project.spec.read_text()
    (project.folder / STOP).write_text(text.replace("epochs:", "epoch:") if is_wrong else text)
    answer = project.graftc("validate", STOP)
    lines = [line.strip() for line in (answer.out + answer.err).splitlines()]
    assert any(STOP in line for line in lines)
    assert not [line for line in lines if line.startswith("::")]


def test_an_old_command_of_the_runner_is_taken_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    assert "##[" not in one_line("a ##[add-mask]b")
    monkeypatch.delenv("GITHUB_ACTIONS")
    assert one_line("a ##[add-mask]b") == "a ##[add-mask]b"
