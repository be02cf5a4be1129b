"""What is frozen stays as it was in the file, to the bit."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from graftc.compiler.model.assembly import assemble, learned, tensors, train_mode

from ..backbones import tiny
from . import running

TEXT = {
    "train": str(running.TICKETS / "train.jsonl"), "validation": {"fraction": 0.2},
    "columns": {"text": "body", "label": "queue"}, "max_length": 24,
}  # fmt: skip
IMAGES = {"train": str(running.DIGITS / "train"), "validation": {"fraction": 0.2}}
CASES = {
    "bert, full": ("bert", "text-classification", TEXT, ["embeddings", "layers[0:2]"], {"method": "full"}, r"embeddings\.|encoder\.layer\.[01]\."),
    "bert, lora": ("bert", "text-classification", TEXT, ["layers[0:1]"], {"method": "lora"}, r".*"),
    "bert, norms and biases": ("bert", "text-classification", TEXT, ["norms", "biases"], {"method": "full"}, r".*(LayerNorm|bias)"),
    "mobilenet-v2, full": ("mobilenet-v2", "image-classification", IMAGES, ["stem", "stages[0:8]"], {"method": "full"}, r"conv_stem\.|layer\.[0-7]\."),
    "mobilenet-v2, norms": ("mobilenet-v2", "image-classification", IMAGES, ["norms"], {"method": "full"}, r".*normalization"),
    "mobilenet-v2, lora": ("mobilenet-v2", "image-classification", IMAGES, [], {"method": "lora"}, r".*"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_frozen_tensors_and_statistics_are_bit_identical_after_training(case: str, tmp_path: Path) -> None:
    family, head, data, freeze, adapt, pattern = CASES[case]
    tiny.save(family, tmp_path / "backbone")
    train: dict[str, Any] = {"epochs": 2, "batch_size": 64, "learning_rate": 1e-3}
    spec = running.write_spec(
        tmp_path,
        backbone={"from": "./backbone", "freeze": freeze},
        adapt=adapt,
        head={"type": head},
        data=data,
        train=train,
    )
    plan, backbone, run = running.training(spec, tmp_path / "store")
    source = load_file(backbone / "model.safetensors")
    trained = run.network
    checked = changed = 0
    for _, tensor, planned in tensors(trained, plan):
        name = planned.name
        if planned.state == "added":
            continue
        same = torch.equal(tensor.detach(), source[name])
        if re.match(pattern, name):
            assert planned.state in ("frozen", "held"), name
            assert same, f"{name} changed"
            checked += 1
        else:
            changed += not same
    assert checked > 0
    assert changed > 0 or pattern == ".*", "nothing learned at all"


def test_frozen_parts_run_in_inference_mode_while_the_rest_trains(tmp_path: Path) -> None:
    tiny.save("bert", tmp_path / "backbone")
    spec = running.write_spec(
        tmp_path, backbone={"from": "./backbone", "freeze": ["embeddings", "layers[0:2]"]},
        head={"type": "text-classification"}, data=TEXT, train={"max_steps": 1},
    )  # fmt: skip
    plan, backbone, _ = running.trained(spec, tmp_path / "store")
    network = assemble(plan, backbone)
    train_mode(network, plan)
    modes = {name: module.training for name, module in network.backbone.named_modules()}
    assert not modes["embeddings.dropout"]
    assert not modes["encoder.layer.1.attention.self"]
    assert modes["encoder.layer.2.attention.self"]
    assert network.heads.training


def test_batch_norms_of_frozen_stages_keep_their_statistics_while_the_rest_trains(tmp_path: Path) -> None:
    tiny.save("mobilenet-v2", tmp_path / "backbone")
    spec = running.write_spec(
        tmp_path, backbone={"from": "./backbone", "freeze": ["stem", "stages[0:8]"]},
        head={"type": "image-classification"}, data=IMAGES, train={"max_steps": 1},
    )  # fmt: skip
    plan, backbone, _ = running.trained(spec, tmp_path / "store")
    network = assemble(plan, backbone)
    train_mode(network, plan)
    modes = {
        name: module.training for name, module in network.backbone.named_modules() if name.endswith("normalization")
    }
    assert {mode for name, mode in modes.items() if name.startswith("conv_stem.")} == {False}
    assert not modes["layer.7.reduce_1x1.normalization"]
    assert modes["layer.8.reduce_1x1.normalization"]


def test_statistics_of_unfrozen_batch_norms_do_learn(tmp_path: Path) -> None:
    tiny.save("mobilenet-v2", tmp_path / "backbone")
    spec = running.write_spec(
        tmp_path, backbone={"from": "./backbone", "freeze": ["stem"]}, head={"type": "image-classification"},
        data=IMAGES, train={"max_steps": 2},
    )  # fmt: skip
    plan, backbone, out = running.trained(spec, tmp_path / "store")
    source = load_file(backbone / "model.safetensors")
    kept = load_file(out / "learned.safetensors")
    statistics = [name for name in kept if name.endswith("running_var")]
    assert statistics
    assert all(not torch.equal(kept[name], source[name.removeprefix("backbone.")]) for name in statistics)
    assert not any("conv_stem" in name for name in kept)
    assert set(kept) == set(learned(assemble(plan, backbone), plan))
