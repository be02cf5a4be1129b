"""Texts of one label attract each other: what it loses, what it reads, and what may never come in."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import graftc
from graftc.compiler.cli import cli
from graftc.compiler.execution.prepared import Prepared
from graftc.compiler.objectives import supervised_contrastive as supervised
from graftc.compiler.planning.show import show
from graftc.compiler.planning.split import epoch_order, paired_by_label

from ..heads import building
from ..train import running

WHO = ("the manager", "a customer", "our team", "nobody", "my sister", "the new bank", "a man", "the city")
DOES = {"bill": "was billed twice", "bug": "sees a blank page", "how": "asks how"}
TRAIN = [{"text": f"{who} {does}", "label": label, "kind": label[0]} for who in WHO for label, does in DOES.items()]
MARK = "zebra"  # a word of rows that no training may see
STAGE = {"objective": "supervised-contrastive", "train": {"epochs": 2, "batch_size": 8, "learning_rate": 1e-3}}
ALONE: dict[str, Any] = {"adapt": {"method": "probe"}, "train": {"epochs": 0}}


def spec(folder: Path, validation: Any = "validation.jsonl", head: Any = None, **sections: Any) -> Path:
    """A spec with such a stage, whose validation and test rows hold the mark."""
    building.write_rows(folder / "train.jsonl", TRAIN)
    for split in ("validation", "test"):
        building.write_rows(folder / f"{split}.jsonl", [{**row, "text": f"{row['text']} {MARK}"} for row in TRAIN[:12]])
    data = {"train": "train.jsonl", "validation": validation, "test": "test.jsonl", "max_length": 24}
    data["columns"] = {"text": "text"}
    given = {"pretrain": [STAGE], **ALONE, **sections}
    return building.written(folder, "bert", head or {"type": "text-classification"}, data, **given)


def lost(vectors: np.ndarray, labels: list[int], temperature: float) -> float:
    """Khosla et al.'s L_out, a text, a partner and a stranger at a time."""
    found = []
    for i, one in enumerate(vectors):
        others = [j for j in range(len(vectors)) if j != i]
        partners = [j for j in others if labels[j] == labels[i]]
        total = sum(math.exp(float(one @ vectors[j]) / temperature) for j in others)
        if partners:
            shares = [math.log(math.exp(float(one @ vectors[j]) / temperature) / total) for j in partners]
            found.append(-sum(shares) / len(partners))
    return sum(found) / len(found)


@pytest.mark.parametrize("labels", [[0, 0, 1, 1, 2], [0, 1, 0, 0, 0], [3, 3, 3, 3, 3]])
def test_the_loss_is_that_of_the_paper(labels: list[int]) -> None:
    vectors = np.random.default_rng(0).normal(size=(5, 7))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    outputs = {"sentence_embedding": torch.from_numpy(vectors)}
    found = supervised.loss({"temperature": 0.2}, outputs, torch.tensor(labels))
    assert float(found) == pytest.approx(lost(vectors, labels, 0.2), rel=1e-9)


def test_texts_without_a_partner_lose_nothing() -> None:
    vectors = torch.eye(3, requires_grad=True)
    found = supervised.loss({"temperature": 0.1}, {"sentence_embedding": vectors}, torch.tensor([0, 1, 2]))
    found.backward()
    assert float(found.detach()) == 0.0


def test_rows_of_a_label_come_in_pairs_each_row_once() -> None:
    labels = np.arange(31) % 10
    order = paired_by_label(epoch_order(31, 0, 0), labels)
    assert sorted(order.tolist()) == list(range(31))
    pairs = labels[order][:30].reshape(-1, 2)
    assert (pairs[:, 0] == pairs[:, 1]).sum() == sum(int(count) // 2 for count in np.bincount(labels))
    assert not np.array_equal(order, paired_by_label(epoch_order(31, 0, 1), labels))


@pytest.mark.parametrize("validation", ["validation.jsonl", {"fraction": 0.25}])
def test_only_training_rows_come_in(validation: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of rows that are held out, too: the stage reads the very arrays that the head trains on."""
    read: list[Path] = []
    plain = Prepared.__init__

    def watched(self: Prepared, folder: Path) -> None:
        read.append(folder)
        plain(self, folder)

    path = spec(tmp_path, validation)
    if validation != "validation.jsonl":  # a fifth of the training rows are marked, of which some are held out
        rows = [{**row, "text": f"{row['text']} {i}"} for i, row in enumerate(TRAIN)]
        building.write_rows(tmp_path / "train.jsonl", rows)
    monkeypatch.setattr(Prepared, "__init__", watched)
    plan, _, _ = running.trained(path, tmp_path / "store", "pretrain-1-merge")
    (stage,) = plan.pretrain
    assert [split.name for split in stage.tasks[0].data.splits] == ["train"]
    assert {folder.parent.name for folder in read} == {"prepare-train"}
    held_out = len(Prepared(next((tmp_path / "store").glob("stages/prepare-train/*"))))
    assert held_out == stage.tasks[0].data.splits[0].rows == len(TRAIN) - (6 if isinstance(validation, dict) else 0)
    texts = {tuple(Prepared(read[0]).row(i)["input_ids"].tolist()) for i in range(held_out)}
    running.trained(path, tmp_path / "store", "evaluate")
    others = [
        folder for name in ("validation", "test") for folder in (tmp_path / "store").glob(f"stages/prepare-{name}/*")
    ]
    assert len(others) == 2
    for folder in others:
        prepared = Prepared(folder)
        assert not texts & {tuple(prepared.row(i)["input_ids"].tolist()) for i in range(len(prepared))}


def test_a_plan_fits_the_head_to_what_the_stage_leaves(tmp_path: Path) -> None:
    assert "fitted to the features of the backbone as `pretrain` leaves it" in show(graftc.plan(spec(tmp_path)))


def test_a_bundle_is_made_of_a_stage_and_a_fitted_head(tmp_path: Path) -> None:
    bundle = building.built(spec(tmp_path))
    manifest = json.loads((bundle / "manifest.json").read_bytes())
    (stage,) = manifest["pretrain"]
    assert (stage["objective"], stage["split"]) == ("supervised-contrastive", "")
    assert manifest["training"]["steps"] == 0
    (before,) = manifest["parameters"]["pretrain"]
    assert before == manifest["parameters"]["total"] - manifest["parameters"]["trainable"]
    card = (bundle / "README.md").read_text()
    assert "supervised-contrastive" in card
    assert f"parameters learned, after {before:,} in `pretrain` |" in card
    assert "fitted to the features of the backbone as `pretrain` leaves it before" in card
    out = CliRunner().invoke(cli, ["inspect", str(bundle)]).stdout
    assert f"learned, after {before:,} in `pretrain`\n" in out
    losses = np.load(next((tmp_path / "store").glob("stages/pretrain-1/*/losses.npy")))
    assert losses[-1] < losses[0]


HEADS = {
    "topic": {"type": "text-classification", "data": {"columns": {"label": "label"}}},
    "kind": {"type": "text-classification", "data": {"columns": {"label": "kind"}}},
}


def several(folder: Path, heads: dict[str, Any], **stage: Any) -> Path:
    path = spec(folder, pretrain=[{**STAGE, **stage}], train={"epochs": 1}, adapt={"method": "probe"})
    text = path.read_text().replace("head:\n  type: text-classification\n", "")
    path.write_text(f"{text}heads: {json.dumps(heads)}\n")
    return path


def test_with_several_heads_it_reads_the_rows_of_the_one_that_is_named(tmp_path: Path) -> None:
    plan = graftc.plan(several(tmp_path, HEADS, head="kind"))
    (task,) = plan.pretrain[0].tasks
    assert task.name == "kind"
    assert task.head.record["labels"] == ("b", "h")
    stages = {stage.name: stage for stage in running.steps.stages(plan, "weights")}
    assert "prepare-kind-train" in stages["pretrain-1"].inputs


SEVERAL_LABELS = {"type": "text-classification", "data": {"columns": {"labels": "label"}}}
NUMBER = {"type": "text-regression", "data": {"columns": {"score": "score"}}}


@pytest.mark.parametrize(
    ("heads", "stage", "code", "key"),
    [
        (HEADS, {}, "E0465", "objective"),
        (HEADS, {"head": "kinds"}, "E0465", "head"),
        ({**HEADS, "kind": SEVERAL_LABELS}, {"head": "kind"}, "E0464", "objective"),
        (HEADS, {"head": "kind", "data": {"train": "train.jsonl"}}, "E0463", "data"),
    ],
)
def test_what_it_can_t_read_is_refused_at_its_key(heads: Any, stage: Any, code: str, key: str, tmp_path: Path) -> None:
    errors = [d for d in building.found(several(tmp_path, heads, **stage)) if d.is_error]
    assert [d.code for d in errors] == [code]
    assert errors[0].at.path == ("pretrain", 0, key)
    if code == "E0464":
        assert "`kind`" in errors[0].headline


def test_the_only_head_has_no_name(tmp_path: Path) -> None:
    errors = [d for d in building.found(spec(tmp_path, pretrain=[{**STAGE, "head": "topic"}])) if d.is_error]
    assert [d.code for d in errors] == ["E0465"]


def test_steps_can_t_be_left_out_of_a_stage(tmp_path: Path) -> None:
    errors = [d for d in building.found(spec(tmp_path, pretrain=[{**STAGE, "train": {"epochs": 0}}])) if d.is_error]
    assert [(d.code, d.at.path) for d in errors] == [("E0462", ("pretrain", 0, "train", "epochs"))]
