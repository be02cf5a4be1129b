"""What other repositories run: the hook through pre-commit itself, and the scripts of the action."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from ..front import ground

ROOT = Path(__file__).resolve().parents[2]
ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
HOOKS: list[dict[str, Any]] = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
STEPS = {step["name"]: step for step in ACTION["runs"]["steps"] if "run" in step}
HOSTILE = '"; touch forged; echo "$(touch forged)`touch forged`'
GUIDE = (ROOT / "docs" / "guides" / "ci.md").read_text(encoding="utf-8")


def git(folder: Path, *words: str) -> None:
    names = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main")
    subprocess.run(["git", *names, *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with a spec that is fine, one that is not, and YAML that is no spec."""
    folder = tmp_path / "repository"
    spec = ground.lay(folder)
    (folder / "wrong.yaml").write_text(spec.read_text().replace("epochs:", "epoch:"))
    (folder / "workflow.yaml").write_text("jobs: {}\n")
    assert "epoch:" in (folder / "wrong.yaml").read_text()
    return folder


# --- the action


def test_what_users_give_is_never_part_of_a_script() -> None:
    assert set(STEPS) == {"Install", "Report", "Validate"}
    for step in STEPS.values():
        assert "${{" not in step["run"]
    given = {word for step in STEPS.values() for word in re.findall(r"inputs\.([\w-]+)", json.dumps(step))}
    used = given | set(re.findall(r"inputs\.([\w-]+)", json.dumps(ACTION["runs"])))
    assert used == set(ACTION["inputs"])
    assert all("description" in one and "default" in one for one in ACTION["inputs"].values())


def step(name: str, folder: Path, temporary: Path, **inputs: str) -> subprocess.CompletedProcess[str]:
    """Runs a step's script as a runner does, with the inputs that it names."""
    given = {key: value["default"] for key, value in ACTION["inputs"].items()} | inputs
    environment = {
        key: re.sub(r"\$\{\{ inputs\.([\w-]+) \}\}", lambda hit: given[hit[1]], value)
        for key, value in STEPS[name]["env"].items()
    }
    environment["HERE"] = str(ROOT)
    script = temporary / "script.sh"
    script.write_text(STEPS[name]["run"])
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)]
    return subprocess.run(
        command,
        cwd=folder,
        env=os.environ | environment | {"RUNNER_TEMP": str(temporary), "GITHUB_WORKSPACE": str(folder)},
        capture_output=True,
        text=True,
    )


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    """The runner's folder, with this graftc as the installed one."""
    folder = tmp_path / "temporary"
    (folder / "graftc" / "bin").mkdir(parents=True)
    run = folder / "graftc" / "bin" / "graftc"
    run.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m graftc "$@"\n')
    run.chmod(0o755)
    return folder


def test_the_action_annotates_what_is_wrong(repository: Path, temporary: Path) -> None:
    done = step("Validate", repository, temporary)
    assert done.returncode == 1, done.stderr
    assert "::error file=wrong.yaml,line=" in done.stdout
    assert done.stdout.endswith("1 error in 2 specs\n")
    fine = step("Validate", repository, temporary, specs="spec.yaml", format="text", strict="true")
    assert (fine.returncode, fine.stdout) == (0, "spec.yaml: fine\n")


def test_the_action_uploads_what_is_wrong_before_it_fails(repository: Path, temporary: Path) -> None:
    assert step("Report", repository, temporary, strict="true").returncode == 0
    log = json.loads((temporary / "graftc.sarif").read_text())
    assert [found["ruleId"] for found in log["runs"][0]["results"]] == ["E0201"]


def test_the_action_shows_what_a_machine_lacks(repository: Path, temporary: Path) -> None:
    text = (repository / "spec.yaml").read_text()
    (repository / "spec.yaml").write_text(re.sub("from: .*", "from: package:gt_not_there/model", text, count=1))
    assert step("Report", repository, temporary, specs="spec.yaml").returncode == 0, "the last step says it and fails"
    log = json.loads((temporary / "graftc.sarif").read_text())
    assert [found["ruleId"] for found in log["runs"][0]["results"]] == ["E0320"]
    done = step("Validate", repository, temporary, specs="spec.yaml")
    assert (done.returncode, "title=E0320" in done.stdout) == (4, True)


@pytest.mark.parametrize("name", ["Report", "Validate"])
def test_the_action_says_when_no_file_matches(name: str, repository: Path, temporary: Path) -> None:
    done = step(name, repository, temporary, specs="nowhere/*.yaml")
    assert (done.returncode, done.stderr) == (2, "no file matches: nowhere/*.yaml\n")


@pytest.mark.parametrize("name", ["Report", "Validate"])
def test_hostile_inputs_run_nothing(name: str, repository: Path, temporary: Path) -> None:
    step(name, repository, temporary, specs=HOSTILE, strict=HOSTILE, format=HOSTILE)
    assert not [path for path in repository.iterdir() if "forged" in path.name]


def test_the_action_installs_what_it_belongs_to(repository: Path, temporary: Path) -> None:
    shutil.rmtree(temporary / "graftc")
    commands = temporary / "commands"
    commands.mkdir()
    stub = commands / "python"  # notes what it is asked, and leaves another of its kind where the environment would be
    stub.write_text(
        f'#!/bin/sh\necho "$@" >> {temporary}/asked\n'
        f'case "$3" in venv) mkdir -p "$4/bin"; cp "$0" "$4/bin/python";; esac\n'
    )
    stub.chmod(0o755)
    for inputs, wanted in (
        ({}, f"{ROOT}"),
        ({"extras": "parquet,image"}, f"{ROOT}[parquet,image]"),
        ({"version": "0.1.0"}, "graftc==0.1.0"),
        ({"version": "0.1.0", "extras": "hub"}, "graftc[hub]==0.1.0"),
        ({"version": HOSTILE}, f"graftc=={HOSTILE}"),
        ({"packages": "gt-one  gt-two"}, "--no-deps -- gt-one gt-two"),
        ({"packages": HOSTILE}, f"--no-deps -- {' '.join(HOSTILE.split())}"),
    ):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PATH", f"{commands}{os.pathsep}{os.environ['PATH']}")
            assert step("Install", repository, temporary, **inputs).returncode == 0
        assert (temporary / "asked").read_text().splitlines()[-1].endswith(f" {wanted}")
    assert not [path for path in repository.iterdir() if "forged" in path.name]


# --- the hook


def test_the_hook_is_what_the_guide_shows() -> None:
    (hook,) = HOOKS
    shown = next(
        yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", GUIDE, re.DOTALL) if "repos:" in block
    )
    assert shown["repos"][0]["hooks"][0]["id"] == hook["id"]
    assert hook["language"] == "python"


@pytest.mark.slow  # pre-commit makes an environment of its own and installs graftc's requirements into it
def test_the_hook_runs_through_pre_commit(repository: Path, tmp_path: Path) -> None:
    origin = tmp_path / "origin"
    kept = (".venv", ".git", "__pycache__", "build", "bundles", "*.egg-info", ".*_cache", ".hypothesis")
    shutil.copytree(ROOT, origin, symlinks=True, ignore=shutil.ignore_patterns(*kept))
    git(origin, "init")
    git(origin, "add", ".")
    git(origin, "commit", "-m", "all")
    revision = subprocess.run(["git", "rev-parse", "HEAD"], cwd=origin, capture_output=True, text=True).stdout.strip()
    (repository / ".pre-commit-config.yaml").write_text(
        f"repos:\n  - repo: {origin}\n    rev: {revision}\n    hooks:\n      - id: graftc-validate\n"
    )
    git(repository, "init")
    git(repository, "add", ".")
    run = [sys.executable, "-m", "pre_commit", "run", "--all-files", "--color=never"]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    environment["PRE_COMMIT_HOME"] = str(tmp_path / "kept")
    wrong = subprocess.run(run, cwd=repository, env=environment, capture_output=True, text=True)
    assert wrong.returncode == 1, wrong.stdout + wrong.stderr
    assert "graftc validate" in wrong.stdout
    assert "error[E0201]: unknown key `epoch`" in wrong.stdout
    assert "1 error in 2 specs" in wrong.stdout
    git(repository, "rm", "-f", "wrong.yaml")
    fine = subprocess.run(run, cwd=repository, env=environment, capture_output=True, text=True)
    assert fine.returncode == 0, fine.stdout + fine.stderr
    assert "Passed" in fine.stdout
