"""A gate that fails writes no bundle, says by how much, and keeps what shows it."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from graftc.compiler.commands import main
from graftc.runtime.session import Session

from ..backbones import tiny
from ..train import running
from .test_bundle import build

MASK = 4  # a token that no text holds
WORDS = {"good": ("warm", "great", "funny"), "bad": ("dull", "late", "boring")}


def told(folder: Path, capsys: pytest.CaptureFixture[str], **sections: Any) -> str:
    """What a build that exits with 1 says."""
    spec = running.write_spec(
        folder, backbone={"from": "./backbone"}, head={"type": "text-classification"}, **sections
    )  # fmt: skip
    words = ["build", str(spec), "-o", str(folder / "bundle"), "--store", str(folder / "store"), "--quiet"]
    with pytest.raises(SystemExit) as left:
        main(words)
    assert left.value.code == 1
    assert not (folder / "bundle").exists()
    return capsys.readouterr().err


def evidence(said: str) -> Path:
    found = re.search(r"kept for inspection: (\S+)", said)
    assert found, said
    return Path(found[1])


@pytest.fixture
def texts(tmp_path: Path) -> dict[str, Any]:
    """The `data` of a task that a tiny network learns: three words say good, three say bad."""
    draw = random.Random(0)
    rows = [{"text": f"the {draw.choice(WORDS[label])} film", "label": label} for label in ("good", "bad") * 80]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return {"train": "rows.jsonl", "validation": {"fraction": 0.25}, "max_length": 16}


def test_int8_that_loses_the_metric_is_no_bundle(
    tmp_path: Path, texts: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """One embedding so large that the step between two int8 values takes all others for zero."""
    tiny.save("bert", tmp_path / "backbone", num_hidden_layers=1)
    path = tmp_path / "backbone" / "model.safetensors"
    weights = load_file(path)
    weights["embeddings.word_embeddings.weight"][MASK] = 1e4
    save_file(weights, path, {"format": "pt"})
    gate = {"precision": ["fp32", "int8"], "gate": {"metric_drop": 0.05}}
    train = {"epochs": 3, "learning_rate": 1e-2, "metric": "f1_macro"}
    said = told(tmp_path, capsys, data=texts, train=train, export=gate)
    assert "error[E0402]: the int8 graph scores worse than the trained model" in said
    found = re.search(r"f1_macro on 40 validation rows fell from (\S+) to (\S+), by (\S+)\n", said)
    assert found, said
    before, after, drop = map(float, found.groups())
    assert before > 0.95, "it was learned"
    assert after < 0.5
    assert drop == pytest.approx(before - after, abs=2e-4)
    assert "`export.gate.metric_drop` 0.05" in said
    assert Session(evidence(said) / "model.int8.onnx").outputs == ("logits",)


def test_a_merge_that_loses_precision_is_no_bundle(
    tmp_path: Path, texts: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """Adapters whose two ranks all but cancel: small as an update, but lost among the digits of its parts."""
    tiny.save("bert", tmp_path / "backbone", num_hidden_layers=1)
    lora = {"adapt": {"method": "lora", "rank": 2}, "train": {"epochs": 1}}
    build(tmp_path, "bert", data=texts, **lora)
    (path,) = (tmp_path / "store").glob("stages/train/*/learned.safetensors")
    weights = load_file(path)
    draw = torch.Generator().manual_seed(0)
    for name, tensor in weights.items():
        if "lora_A" in name:
            tensor[0] = 1e6 * torch.randn(tensor.shape[1], generator=draw)
            tensor[1] = -tensor[0] * (1 + 1e-6 * torch.randn(tensor.shape[1], generator=draw))
        elif "lora_B" in name:
            tensor[:, 0] = tensor[:, 1] = torch.randn(tensor.shape[0], generator=draw)
    save_file(weights, path)
    (tmp_path / "bundle").rename(tmp_path / "earlier")
    said = told(tmp_path, capsys, data=texts, **lora, export={"gate": {"parity": 2e-4}})
    assert "error[E0403]: the merged model disagrees with the adapted one" in said
    found = re.search(r"largest relative difference (\S+), allowed 2.0e-04 by `export.gate.parity`", said)
    assert found, said
    arrays = np.load(evidence(said))
    adapted, merged = arrays["logits.adapted"], arrays["logits.merged"]
    assert float(found[1]) == pytest.approx(np.abs(adapted - merged).max() / max(1, np.abs(adapted).max()), rel=0.1)
