"""Door 3: a plan file is what its own spec gives, or it is refused at the key that differs."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from graftc.compiler.execution import executor
from graftc.compiler.store.hashes import file_sha256

from ..front.cli import Answer
from ..front.conftest import Project

CODE = "x: int\n\n\nopen('mark', 'w').close()\n\n\nclass Y:\n    y"


def changed(plan: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    *path, last = (int(step) if step.isdecimal() else step for step in key.split("."))
    inner: Any = plan
    for step in path:
        inner = inner[step]
    inner[last] = value
    return plan


EDITS: list[tuple[str, Any, str]] = [
    ("tasks.0.name", CODE, "E0212"),
    ("tasks.0.name", "other", "E0214"),
    ("tasks.0.head.type", "text-regression", "E0214"),
    ("tasks.0.head.record.labels", ["a", CODE], "E0214"),
    ("tasks.0.data.columns", {"text": ["text"], "label": ["text"]}, "E0214"),
    ("tasks.0.data.splits.0.rows", 10**15, "E0214"),
    ("tasks.0.data.splits.0.tables.0.path", "/etc/passwd", "E0214"),
    ("tasks.0.data.splits.0.tables.0.path", "../../etc/passwd", "E0405"),
    ("tasks.0.data.splits.0.tables.0.skipped", "1-9999999999999", "E0214"),
    ("tasks.0.data.splits.0.tables.0.sha256", "0" * 64, "E0405"),
    ("method.record", {"x": 1}, "E0214"),
    ("method.method", "full", "E0214"),
    ("train.batch_size", -5, "E0214"),
    ("train.epochs", 10**12, "E0214"),
    ("train.learning_rate", 1e308, "E0214"),
    ("train.layer_of", {"x": "y"}, "E0214"),
    ("export.parity", 1e308, "E0212"),
    ("export.parity", 0.5, "E0214"),
    ("export.opset", 10**12, "E0212"),
    ("export.samples_sha256", "x", "E0214"),
    ("backbone.source", "hub:evil/model", "E0214"),
    ("backbone.config_sha256", "0" * 64, "E0405"),
    ("backbone.files", ["../../secret"], "E0214"),
    ("backbone.tensors.0.name", "x" * 40_000, "E0214"),
    ("backbone.tensors.0.state", "trained", "E0214"),
    ("estimates.memory_bytes", 1, "E0214"),
    ("seed", 7, "E0214"),
    ("name", "another", "E0214"),
    ("spec.name", "another", "E0214"),
    ("spec.data.train", ["/etc/passwd"], ""),
    ("spec.head.type", "no-such-head", ""),
    ("spec", {}, ""),
]


@pytest.fixture
def planned(project: Project, graftc: Callable[..., Answer], monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A sound plan; a build that reaches its first stage leaves a file."""
    monkeypatch.setattr(executor, "run_stages", lambda *_: (_ for _ in ()).throw(Reached))
    assert graftc("plan", "spec.yaml", "-o", "plan.json").status == 0
    found: dict[str, Any] = json.loads(Path("plan.json").read_bytes())
    return found


class Reached(BaseException):
    """A build has come to its first stage."""


def test_a_plan_as_it_was_written_is_built(planned: dict[str, Any], graftc: Callable[..., Answer]) -> None:
    with pytest.raises(Reached):
        graftc("build", "plan.json", "-o", "out", "--quiet")


@pytest.mark.parametrize(("key", "value", "code"), EDITS, ids=[f"{key}={value!r:.20}" for key, value, _ in EDITS])
def test_an_edited_plan_is_refused_at_its_key(
    key: str, value: Any, code: str, planned: dict[str, Any], graftc: Callable[..., Answer]
) -> None:
    Path("edited.json").write_text(json.dumps(changed(planned, key, value)))
    start = time.monotonic()
    answer = graftc("build", "edited.json", "-o", "out", "--quiet")
    assert (answer.status, time.monotonic() - start < 10) == (1, True), answer.err
    assert not code or code in answer.codes, answer.err
    if code == "E0214":
        assert f"`{key.removeprefix('spec.')}" in answer.err
    assert not Path("out").exists()
    assert not Path("mark").exists()


def test_a_number_of_another_kind_is_another_plan(planned: dict[str, Any], graftc: Callable[..., Answer]) -> None:
    record = planned["method"]["record"]
    name = next(key for key, value in record.items() if type(value) is int)
    Path("edited.json").write_text(json.dumps(changed(planned, f"method.record.{name}", float(record[name]))))
    assert graftc("build", "edited.json", "-o", "out", "--quiet").codes == ["E0214"]


def test_an_edited_spec_decides_the_plan(planned: dict[str, Any], graftc: Callable[..., Answer]) -> None:
    """Both halves changed alike are a plan of another spec, and fine."""
    assert graftc("plan", "spec.yaml", "--set", "seed=7", "-o", "seven.json").status == 0
    edited = changed(planned, "seed", 7)
    edited["spec"]["seed"] = 7
    assert edited == json.loads(Path("seven.json").read_bytes())
    Path("edited.json").write_text(json.dumps(edited))
    with pytest.raises(Reached):
        graftc("build", "edited.json", "-o", "out", "--quiet")


@pytest.fixture
def pinned(planned: dict[str, Any], graftc: Callable[..., Answer]) -> dict[str, Any]:
    """A plan that was made from a lock."""
    assert graftc("lock", "spec.yaml").status == 0
    assert graftc("plan", "spec.yaml", "--locked", "-o", "pinned.json").status == 0
    with pytest.raises(Reached):
        graftc("build", "pinned.json", "--locked", "-o", "out", "--quiet")
    found: dict[str, Any] = json.loads(Path("pinned.json").read_bytes())
    return found


def outside() -> dict[str, str]:
    """What a plan pins of a file that is none of the backbone's, and right about it."""
    Path("secret").write_text("a password")
    return {os.path.relpath("secret", os.path.realpath("backbone")): file_sha256(Path("secret"))}


PINS: list[tuple[str, Callable[[dict[str, Any]], object], str]] = [
    ("no file", lambda pins: pins["files"].clear(), "E0405"),
    ("no weights", lambda pins: pins["files"].pop("model.safetensors"), "E0405"),
    ("no library", lambda pins: pins["versions"].clear(), "E0347"),
    ("nothing", lambda pins: pins.update(files={}, versions={}), "E0347"),
    ("a file elsewhere", lambda pins: pins["files"].update(outside()), "E0405"),
    ("a library without a name", lambda pins: pins["versions"].update({"": "1"}), "E0347"),
    ("a hash that is none", lambda pins: pins["files"].update({"model.safetensors": 5}), "E0212"),
    ("a version that is none", lambda pins: pins["versions"].update(numpy=[1]), "E0212"),
]


@pytest.mark.parametrize(("edit", "code"), [each[1:] for each in PINS], ids=[each[0] for each in PINS])
def test_what_a_plan_pins_is_all_that_a_lock_pins(
    edit: Callable[[dict[str, Any]], object], code: str, pinned: dict[str, Any], graftc: Callable[..., Answer]
) -> None:
    """Else a plan with pins that hold nothing is built with --locked, and one that names other files has them read."""
    edit(pinned["pins"])
    Path("edited.json").write_text(json.dumps(pinned))
    opened: list[str] = []
    sys.addaudithook(lambda event, told: opened.append(str(told[0])) if event == "open" else None)
    answer = graftc("build", "edited.json", "--locked", "-o", "out", "--quiet")
    assert (answer.status, code in answer.codes) == (1, True), answer.err
    assert not [path for path in opened if path.endswith("secret")]
    assert code != "E0212" or graftc("plan", "spec.yaml", "--diff", "edited.json").codes == ["E0212"]
