"""A backbone on the Hub under a lock: the commit stays when the branch moves, and no weights are fetched to check it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import yaml

from graftc.compiler.language.source import read
from graftc.compiler.locking.lock import signature
from graftc.compiler.locking.locked import read_lock

from ..train import running
from .hub_server import Hub, Repository
from .test_hub_build import COMMIT, graftc, repository

__all__ = ["repository"]
OTHER = "b2" * 20


def test_a_branch_that_moves_on_leaves_a_locked_spec_where_it_was(tmp_path: Path, repository: Repository) -> None:
    shutil.copytree(running.TICKETS, tmp_path / "tickets")
    data = {"train": "tickets/train.jsonl", "columns": {"text": "body", "label": "queue"}, "max_length": 16}
    head = {"type": "text-classification"}
    running.write_spec(tmp_path, backbone={"from": "hub:org/tiny@main"}, head=head, data=data)
    with Hub({"org/tiny": repository}) as hub:

        def source(*flags: str, folder: Path = tmp_path) -> str:
            planned = graftc(folder, hub.endpoint, "plan", "spec.yaml", "--json", *flags)
            assert planned.returncode == 0, planned.stderr
            return str(json.loads(planned.stdout)["backbone"]["source"])

        locked = graftc(tmp_path, hub.endpoint, "lock", "spec.yaml")
        assert locked.returncode == 0, locked.stderr
        written = yaml.safe_load((tmp_path / "spec.lock.yaml").read_text())
        assert written["backbone"]["source"] == f"hub:org/tiny@{COMMIT}"
        assert "model.safetensors" in written["backbone"]["files"]

        changed = json.loads(repository.commits[COMMIT]["config.json"]) | {"hidden_dropout_prob": 0.3}
        repository.commits[OTHER] = repository.commits[COMMIT] | {"config.json": json.dumps(changed).encode()}
        repository.branches["main"] = OTHER
        assert source() == f"hub:org/tiny@{OTHER}"
        assert source("--locked") == f"hub:org/tiny@{COMMIT}"

        fresh = tmp_path / "fresh"
        shutil.copytree(tmp_path / "tickets", fresh / "tickets")
        for name in ("spec.yaml", "spec.lock.yaml"):
            shutil.copy(tmp_path / name, fresh)
        assert source("--locked", folder=fresh) == f"hub:org/tiny@{COMMIT}"
        assert not list(fresh.rglob("model.safetensors")), "checking fetched the weights"

        lock = read_lock(read(fresh / "spec.yaml")).lock
        other = lock.model_copy(update={"backbone": lock.backbone.model_copy(update={"header": "0" * 64})})
        other = other.model_copy(update={"sha256": signature(other)})
        (fresh / "spec.lock.yaml").write_text(other.text("spec.yaml"), encoding="utf-8")
        drifted = graftc(fresh, hub.endpoint, "validate", "spec.yaml", "--locked")
        assert drifted.returncode == 1
        assert "error[E0344]: the headers of the backbone's weights changed" in drifted.stderr

        (weights,) = {path.resolve() for path in (tmp_path / "hf").rglob("model.safetensors")}
        raw = bytearray(weights.read_bytes())
        raw[-1] ^= 1
        weights.write_bytes(raw)
        drifted = graftc(tmp_path, hub.endpoint, "validate", "spec.yaml", "--locked")
        assert drifted.returncode == 1
        assert "error[E0344]: the backbone's `model.safetensors` changed since it was locked" in drifted.stderr
