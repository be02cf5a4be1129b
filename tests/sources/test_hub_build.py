"""A backbone on the Hub: planned from headers, fetched when building, pinned to a commit."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ..backbones import tiny
from ..train import running
from .hub_server import Hub, Repository

COMMIT = "a1" * 20


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    tiny.save("bert", tmp_path / "backbone")
    files = {file.name: file.read_bytes() for file in (tmp_path / "backbone").iterdir()}
    files |= {"pytorch_model.bin": b"a pickle", "modeling.py": b"raise SystemExit"}
    return Repository({COMMIT: files}, {"main": COMMIT})


def graftc(folder: Path, endpoint: str, *arguments: str, offline: bool = False) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("HF_")} | {
        "HF_ENDPOINT": endpoint, "HF_HOME": str(folder / "hf"), "HF_HUB_DISABLE_TELEMETRY": "1",
        "GRAFTC_STORE": str(folder / "store"), "HF_HUB_OFFLINE": "1" if offline else "0",
    }  # fmt: skip
    command = [sys.executable, "-m", "graftc", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_a_hub_backbone_is_planned_from_its_headers_and_fetched_when_building(
    tmp_path: Path, repository: Repository
) -> None:
    shutil.copytree(running.TICKETS, tmp_path / "tickets")
    data = {"train": "tickets/train.jsonl", "columns": {"text": "body", "label": "queue"}, "max_length": 16}
    running.write_spec(
        tmp_path,
        backbone={"from": "hub:org/tiny@main"},
        head={"type": "text-classification"},
        data=data,
        train={"max_steps": 2},
    )
    with Hub({"org/tiny": repository}) as hub:
        planned = graftc(tmp_path, hub.endpoint, "plan", "spec.yaml", "--json")
        assert planned.returncode == 0, planned.stderr
        assert json.loads(planned.stdout)["backbone"]["source"] == f"hub:org/tiny@{COMMIT}"
        assert not list((tmp_path / "hf").rglob("*.safetensors")), "planning fetched the weights"
        again = graftc(tmp_path, hub.endpoint, "plan", "spec.yaml", "--json", offline=True)
        assert again.stdout == planned.stdout, again.stderr
        built = graftc(tmp_path, hub.endpoint, "build", "spec.yaml", "-o", "bundle")
        assert built.returncode == 0, built.stderr
        assert list((tmp_path / "hf").rglob("model.safetensors"))
        assert not [line for line in hub.log if line.endswith((".bin", ".py"))]
    after = graftc(tmp_path, hub.endpoint, "plan", "spec.yaml", "--json", offline=True)
    assert after.stdout == planned.stdout, "local weights give another plan than remote headers"
