"""A gate that fails writes no bundle, says by how much, and keeps what shows it."""

from __future__ import annotations

import json
import random
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from safetensors.torch import load_file, save_file

from graftc.compiler.cli import main
from graftc.compiler.export.fusion import fuse
from graftc.compiler.store.store import Store
from graftc.runtime.model import Model
from graftc.runtime.session import Session
from graftc.runtime.verify import verify

from ..backbones import tiny
from ..train import running
from .test_bundle import build

MASK = 4  # a token that no text holds
WORDS = {"good": ("warm", "great", "funny"), "bad": ("dull", "late", "boring")}


def told(folder: Path, capsys: pytest.CaptureFixture[str], **sections: Any) -> str:
    """What a build that exits with 1 says."""
    spec = running.write_spec(
        folder, **{"backbone": {"from": "./backbone"}, "head": {"type": "text-classification"}, **sections}
    )
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


def shrunk(folder: Path, *spoilt: str) -> dict[str, Any]:
    """A tiny BERT in which tensors hold one number so large that in int8 all others are zero, and a spec's sections."""
    tiny.save("bert", folder / "backbone", num_hidden_layers=1)
    path = folder / "backbone" / "model.safetensors"
    weights = load_file(path)
    for name in spoilt:
        if "word_embeddings" in name:
            weights[name][MASK] = 1e4
        else:  # of an input that is always zero, so that nothing changes in float
            weights["embeddings.LayerNorm.weight"][0] = weights["embeddings.LayerNorm.bias"][0] = 0.0
            weights[name][:, 0] = 1e4
    save_file(weights, path, {"format": "pt"})
    return {
        "export": {"precision": ["fp32", "int8"], "gate": {"metric_drop": 0.05}},
        "train": {"epochs": 6, "learning_rate": 1e-2, "metric": "f1_macro"},
    }


def test_int8_keeps_in_float_what_the_metric_needs(tmp_path: Path, texts: dict[str, Any]) -> None:
    sections = shrunk(tmp_path, "embeddings.word_embeddings.weight")
    bundle = build(tmp_path, "bert", data=texts, **sections)
    manifest = json.loads((bundle / "manifest.json").read_bytes())
    kept = manifest["gates"]["in_float"]["int8"]
    assert kept["what"] == "the embeddings"
    assert manifest["gates"]["metric"]["int8"]["drop"] <= 0.05
    assert manifest["metrics"]["validation"]["int8"]["f1_macro"] > 0.9
    by_name = {node.name: node for node in onnx.load(bundle / "model.int8.onnx").graph.node}
    assert {by_name[name].op_type for name in kept["nodes"]["model"]} == {"Gather"}
    assert "MatMulInteger" in {node.op_type for node in by_name.values()}, "the rest is int8"
    (whole,) = (tmp_path / "store").glob("stages/quantize/*/model.int8.onnx")
    assert (bundle / "model.int8.onnx").stat().st_size > whole.stat().st_size
    assert "| in float | the embeddings, because int8 throughout lost too much |" in (bundle / "README.md").read_text()
    assert verify(bundle)["int8"] < 0.05


def test_int8_that_loses_the_metric_is_no_bundle(
    tmp_path: Path, texts: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """Embeddings and values fail in int8 both: what a row's first token can know of the others passes through each."""
    sections = shrunk(tmp_path, "embeddings.word_embeddings.weight", "encoder.layer.0.attention.self.value.weight")
    head = {"type": "text-classification", "pooling": "cls"}
    said = told(
        tmp_path,
        capsys,
        data=texts,
        adapt={"method": "probe"},
        **sections | {"head": head, "train": {**sections["train"], "epochs": 40, "learning_rate": 0.05}},
    )
    assert "error[E0402]: the int8 graph scores worse than the trained model" in said
    found = re.search(r"f1_macro on 40 validation rows fell from (\S+) to (\S+), by (\S+)\n", said)
    assert found, said
    before, after, drop = map(float, found.groups())
    assert before > 0.95, "it was learned"
    assert after < 0.8
    assert drop == pytest.approx(before - after, abs=2e-4)
    assert "`export.gate.metric_drop` 0.05" in said
    assert "tried without success: dynamic; dynamic with the first and the last product in float;" in " ".join(
        said.split()
    )
    assert Session(evidence(said) / "model.int8.onnx").outputs == ("logits",)


def test_a_graph_of_onnxruntime_s_own_operators_passes_the_same_gate(tmp_path: Path, texts: dict[str, Any]) -> None:
    sections = shrunk(tmp_path)
    portable = build(tmp_path, "bert", data=texts, **sections)
    portable = portable.rename(tmp_path / "portable")
    bundle = build(
        tmp_path, "bert", data=texts, **sections | {"export": {**sections["export"], "optimize": "onnxruntime"}}
    )
    manifest, receipt = (json.loads((bundle / f"{name}.json").read_bytes()) for name in ("manifest", "receipt"))
    assert manifest["optimize"] == receipt["optimize"] == "onnxruntime"
    assert manifest["fused"] == receipt["fused"]
    assert manifest["fused"]["Attention"] == 1
    assert json.loads((portable / "manifest.json").read_bytes())["fused"] == {}
    assert 0 < manifest["gates"]["parity"]["worst"] <= 1e-4
    assert verify(bundle)["fp32"] <= 1e-4
    asked = ["the great film", "a dull one, and much longer than the other " * 3, ""]
    ours, plain = (Model(folder).outputs(asked)["logits"] for folder in (bundle, portable))
    np.testing.assert_allclose(ours, plain, atol=1e-4)
    held = {node.op_type for node in onnx.load(bundle / "model.int8.onnx").graph.node}
    assert held & {"QAttention", "MatMulInteger"}
    assert fuse(portable / "model.onnx").SerializeToString() == fuse(portable / "model.onnx").SerializeToString()


def test_an_optimizer_that_knows_nothing_of_a_graph_is_told_before_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny.save("resnet", tmp_path / "backbone")
    shutil.copytree(running.DIGITS, tmp_path / "digits")
    data = {"train": "digits/train", "validation": {"fraction": 0.2}}
    said = told(tmp_path, capsys, head={"type": "image-classification"}, data=data, export={"optimize": "onnxruntime"})
    assert "error[E0513]: onnxruntime's optimizer fuses nothing in this graph" in said
    assert "spec.yaml:" in said
    assert not list((tmp_path / "store").glob("stages/train/*"))


def test_a_merge_that_loses_precision_is_no_bundle(
    tmp_path: Path, texts: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """Adapters whose two ranks all but cancel: small as an update, but lost among the digits of its parts."""
    tiny.save("bert", tmp_path / "backbone", num_hidden_layers=1)
    head = {"type": "text-classification", "start": "random"}
    lora = {"adapt": {"method": "lora", "rank": 2}, "train": {"epochs": 1}, "head": head}
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
    store, key = Store(tmp_path / "store"), path.parent.name  # a record to suit, else the training is made again
    store._write_record("train", key, path.parent, store.recorded("train", key)["made"])
    (tmp_path / "bundle").rename(tmp_path / "earlier")
    said = told(tmp_path, capsys, data=texts, **lora, export={"gate": {"parity": 2e-4}})
    assert "error[E0403]: the merged model disagrees with the adapted one" in said
    found = re.search(r"largest relative difference (\S+), allowed 2.0e-04 by `export.gate.parity`", said)
    assert found, said
    arrays = np.load(evidence(said))
    adapted, merged = arrays["logits.adapted"], arrays["logits.merged"]
    assert float(found[1]) == pytest.approx(np.abs(adapted - merged).max() / max(1, np.abs(adapted).max()), rel=0.1)
