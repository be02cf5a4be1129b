"""A small project on disk for each test: a tiny backbone, a few rows and a spec."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from ..backbones import tiny
from .cli import Answer, Command

SPEC = """\
graftc: 1
name: triage

backbone:
  from: ./backbone
  freeze:
    - embeddings
    - layers[0:2]

adapt:
  method: lora
  rank: 4
  target: [query, value]

head:
  type: text-classification
  dropout: 0.1

data:
  train: train.jsonl
  validation: validation.jsonl
  columns: {text: body, label: queue}
  max_length: 32

train:
  epochs: 2
  metric: f1_macro

export:
  precision: [fp32]
"""
LABELS = ("billing", "bug", "howto")
TEXTS = ("the app crashes", "please refund my order", "how do I change the password", "nobody reads the letter")
ROWS = [{"body": f"{TEXTS[i % 4]} {i}", "queue": LABELS[i % 3]} for i in range(24)]
MORE = [{"body": f"{TEXTS[i % 4]} {i}", "queue": LABELS[i % 3]} for i in range(24, 52)]


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of three layers."""
    folder = tmp_path_factory.mktemp("bert")
    tiny.save("bert", folder)
    return folder


@pytest.fixture(scope="session")
def vit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A vision transformer of three layers, for pictures of 32 by 32."""
    folder = tmp_path_factory.mktemp("vit")
    tiny.save("vit", folder)
    return folder


@dataclass
class Project:
    """A folder with a spec that is fine, to be spoilt."""

    folder: Path
    graftc: Command

    @property
    def spec(self) -> Path:
        return self.folder / "spec.yaml"

    def replace(self, old: str, new: str) -> None:
        text = self.spec.read_text()
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in the spec"
        self.spec.write_text(text.replace(old, new))

    def write(self, name: str, content: Any) -> Path:
        """Writes bytes, a text, or rows as JSON lines."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            content = content.encode()
        elif isinstance(content, Sequence) and not isinstance(content, bytes):
            content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in content).encode()
        path.write_bytes(content)
        return path

    def backbone(self) -> Path:
        """The backbone's folder, from now on this project's own."""
        link = self.folder / "backbone"
        if link.is_symlink():
            origin = link.resolve()
            link.unlink()
            shutil.copytree(origin, link)
        return link

    def validate(self, *more: Any) -> Answer:
        return self.graftc("validate", "spec.yaml", *more)


@pytest.fixture
def graftc(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys)


@pytest.fixture
def project(tmp_path: Path, bert: Path, graftc: Command, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project about tickets; the test stands in its folder."""
    built = Project(tmp_path, graftc)
    (tmp_path / "backbone").symlink_to(bert)
    built.write("spec.yaml", SPEC)
    built.write("train.jsonl", [*ROWS, *MORE[16:]])
    built.write("validation.jsonl", MORE[:16])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GRAFTC_STORE", str(tmp_path / "store"))
    return built


@pytest.fixture
def pictures(project: Project, vit: Path) -> Project:
    """A project about pictures, named by the rows of a table."""
    (project.folder / "backbone").unlink()
    (project.folder / "backbone").symlink_to(vit)
    rows = [{"image": f"pictures/{i}.png", "label": "dark" if i % 2 else "light"} for i in range(6)]
    (project.folder / "pictures").mkdir()
    for i, row in enumerate(rows):
        Image.new("L", (20 + i, 20), 0 if i % 2 else 255).save(project.folder / str(row["image"]))
    project.write("train.jsonl", rows)
    project.write("validation.jsonl", rows)
    project.replace("text-classification", "image-classification")
    project.replace("  columns: {text: body, label: queue}\n  max_length: 32\n", "")
    return project
