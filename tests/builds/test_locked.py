"""Builds that are held to a lock: the same bundle as without, and none where something is other than it was."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from ..front.cli import Command
from . import subjects


def hashes(bundle: Path) -> dict[str, str]:
    files = (path for path in bundle.rglob("*") if path.is_file())
    return {str(path.relative_to(bundle)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_a_locked_build_is_the_build_and_refuses_other_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    graftc = Command(capsys)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GRAFTC_STORE", str(tmp_path / "store"))
    subjects.write(tmp_path, subjects.text(tmp_path, train={"max_steps": 2, "batch_size": 8}))
    assert graftc("lock", "spec.yaml").status == 0
    assert graftc("plan", "spec.yaml", "-o", "free.json").status == 0
    assert graftc("plan", "spec.yaml", "--locked", "-o", "plan.json").status == 0
    built = graftc("build", "spec.yaml", "--locked", "--quiet", "-o", "locked")
    assert built.status == 0, built.err
    for name, arguments in {"pinned": ["plan.json", "--locked"], "free": ["free.json"]}.items():
        again = graftc("build", *arguments, "--quiet", "-o", name)
        assert "nothing to do" in again.out, again.err
        assert hashes(tmp_path / name) == hashes(tmp_path / "locked")
    assert graftc("build", "free.json", "--locked").codes == ["E0349"]

    plan = json.loads((tmp_path / "plan.json").read_text())
    plan["pins"]["versions"]["torch"] = "1.13.1"
    (tmp_path / "older.json").write_text(json.dumps(plan))
    answer = graftc("build", "older.json")
    assert (answer.status, answer.codes) == (1, ["E0347"])

    weights = tmp_path / "bert" / "model.safetensors"
    raw = bytearray(weights.read_bytes())
    raw[-1] ^= 1
    weights.write_bytes(raw)
    for arguments, code in ((["plan.json"], "E0405"), (["spec.yaml", "--locked"], "E0344")):
        answer = graftc("build", *arguments, "-o", "locked")
        assert (answer.status, answer.codes) == (1, [code])
        assert "model.safetensors" in answer.findings[0].headline
    assert hashes(tmp_path / "free") == hashes(tmp_path / "locked"), "the bundle that was there stays"
