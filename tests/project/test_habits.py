"""What people expect of a repository is there and says what is so: workflows, hooks for commits, issue forms, a changelog."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

import graftc
from graftc.compiler.planning.plan import Plan
from graftc.runtime.manifest import FORMAT

ROOT = Path(__file__).resolve().parents[2]
GITHUB = ROOT / ".github"
MAKE = (ROOT / "Makefile").read_text(encoding="utf-8")
LOCAL: list[dict[str, Any]] = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
HOOKS = {hook["id"]: hook for repository in LOCAL for hook in repository["hooks"]}


def workflow(name: str) -> dict[Any, Any]:
    found: dict[Any, Any] = yaml.safe_load((GITHUB / "workflows" / f"{name}.yml").read_text(encoding="utf-8"))
    return found


def commands(found: dict[Any, Any]) -> list[str]:
    return [step["run"] for job in found["jobs"].values() for step in job["steps"] if "run" in step]


def test_a_push_runs_every_test() -> None:
    found = workflow("test")
    assert "make test" in commands(found)
    assert "pull_request" in found[True]  # YAML 1.1 reads `on` as true
    assert found["permissions"] == {"contents": "read"}


@pytest.mark.parametrize(("tag", "status"), [(f"v{graftc.__version__}", 0), ("v99.0.0", 1), ("$(touch forged)", 1)])
def test_a_tag_publishes_the_version_that_it_names(tag: str, status: int, tmp_path: Path) -> None:
    found = workflow("publish")
    assert found[True] == {"push": {"tags": ["v*"]}}
    check, *rest = commands(found)
    assert rest[0] == "make test", "nothing is published before all tests"
    (tmp_path / "graftc").symlink_to(ROOT / "graftc")
    done = subprocess.run(["bash", "-ec", check], cwd=tmp_path, env={**path(), "TAG": tag}, capture_output=True)
    assert done.returncode == status, done.stderr
    assert not (tmp_path / "forged").exists()


def path() -> dict[str, str]:
    """The environment in which `python` is this one."""
    return {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def test_commits_are_checked_by_the_tools_of_make() -> None:
    for tool in ("ruff check", "ruff format", "mypy -p graftc -p tests", "lint-imports", "docs/generator --check"):
        assert tool in MAKE
        assert any(tool in hook["entry"] for hook in HOOKS.values()), tool
    assert all(shlex.split(hook["entry"])[0].startswith(".venv/bin/") for hook in HOOKS.values())


def test_hooks_for_commits_say_no_version() -> None:
    """constraints.txt is the one place for them."""
    assert all(repository["repo"] == "local" for repository in LOCAL)
    assert all(hook["language"] == "system" for hook in HOOKS.values())


@pytest.mark.parametrize("name", ["bug", "feature"])
def test_issue_forms_have_what_github_asks_of_them(name: str) -> None:
    form = yaml.safe_load((GITHUB / "ISSUE_TEMPLATE" / f"{name}.yml").read_text(encoding="utf-8"))
    assert {"name", "description", "body"} <= set(form)
    fields = [field["id"] for field in form["body"]]
    assert len(set(fields)) == len(fields)
    assert all("label" in field["attributes"] for field in form["body"])


def test_the_changelog_has_the_newest_formats_and_only_kinds_of_its_convention() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"Bundles have format {FORMAT}" in text
    (newest,) = get_args(Plan.model_fields["format"].annotation)
    assert f"Plans have format {newest}" in text
    kinds = set(re.findall(r"^### (.+)$", text, re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_warnings_are_errors_and_each_exception_has_a_reason() -> None:
    settings = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    lines = settings.partition("filterwarnings = [\n")[2].partition("\n]")[0].splitlines()
    assert lines[0].strip() == '"error",'
    for before, line in pairwise(lines):
        assert line.strip().startswith("#") or before.strip().startswith("#"), line
