"""Thresholds belong to a precision, and a precision that fails is all that is lost."""

from __future__ import annotations

import json
import random
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graftc.compiler.metrics.classification import calibrate
from graftc.compiler.planning.export import QuantizationPlan
from graftc.runtime.manifest import read_manifest
from graftc.runtime.model import Model
from graftc.runtime.verify import verify

from .test_bundle import build
from .test_gates import shrunk, texts, told

FORMER = Path(__file__).parent / "format_2.zip"  # built by the graftc that wrote it
WORDS = {"good": ("warm", "great"), "bad": ("dull", "late"), "funny": ("funny",)}
__all__ = ["texts"]


def several(folder: Path) -> dict[str, Any]:
    """Rows with any of three labels, as validation and training both."""
    draw = random.Random(0)
    rows = []
    for _ in range(160):
        labels = [label for label in WORDS if draw.random() < 0.4]
        rows.append({"text": f"the {' '.join(draw.choice(WORDS[x]) for x in labels)} film", "labels": labels})
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "held.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows[:60]))
    return {"train": "rows.jsonl", "validation": "held.jsonl", "max_length": 16, "columns": {"labels": "labels"}}


def test_each_precision_has_thresholds_of_its_own_scores(tmp_path: Path) -> None:
    train = {"epochs": 4, "learning_rate": 1e-2}
    export = {"precision": ["fp32", "int8"], "gate": {"metric_drop": 0.5}}
    bundle = build(tmp_path, "bert", data=several(tmp_path), train=train, export=export)
    manifest = json.loads((bundle / "manifest.json").read_bytes())
    rows = [json.loads(line) for line in (tmp_path / "held.jsonl").read_text().splitlines()]
    assert "thresholds" not in manifest["heads"][""]
    found = {}
    for precision in ("fp32", "int8"):
        model = Model(bundle, precision)
        labels = model.labels
        truth = np.array([[label in row["labels"] for label in labels] for row in rows], np.int64)
        outputs = model.outputs([row["text"] for row in rows])
        examples = type("Examples", (), {"targets": truth})()
        found[precision] = calibrate(model.heads[""], outputs, examples)["thresholds"]
        assert model.heads[""]["thresholds"] == pytest.approx(found[precision], abs=1e-6)
    assert manifest["calibrated"].keys() == {"fp32", "int8"}
    assert found["fp32"] != found["int8"]


def test_a_bundle_of_the_former_format_answers_as_it_did(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    shutil.unpack_archive(FORMER, bundle)
    assert json.loads((bundle / "manifest.json").read_bytes())["bundle"] == 2
    assert verify(bundle)["fp32"] < 1e-4
    thresholds = json.loads((bundle / "manifest.json").read_bytes())["heads"][""]["thresholds"]
    for precision in ("fp32", "int8"):
        model = Model(bundle, precision)
        assert model.heads[""]["thresholds"] == thresholds
    samples = [json.loads(line) for line in (bundle / "samples.jsonl").read_text().splitlines()]
    answers = Model(bundle).predict([sample["input"] for sample in samples])
    kept = [[answer["label"] for answer in sample["answer"]] for sample in samples]
    assert [[answer.label for answer in row] for row in answers] == kept


def test_what_is_told_of_int8_has_its_present_name_in_bundles_of_before(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    shutil.unpack_archive(FORMER, bundle)
    manifest = json.loads((bundle / "manifest.json").read_bytes())
    told = {"kind": "dynamic", "is_alone": False, "share": 0.26}
    manifest |= {"bundle": 3, "calibrated": {}, "quantization": {"int8": told}}
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    assert read_manifest(bundle)["quantization"] == {
        "int8": {"kind": "dynamic", "is_batch_invariant": False, "share": 0.26}
    }


def test_a_plan_of_before_says_otherwise_that_a_kind_is_chosen() -> None:
    for word in ("is_auto", "is_chosen"):
        planned = QuantizationPlan.model_validate_json(json.dumps({"kinds": ["dynamic"], word: True, "samples": 0}))
        assert (planned.is_auto, "is_auto" in planned.model_dump()) == (True, True)


def test_a_precision_that_fails_is_all_that_is_lost(
    tmp_path: Path, texts: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    sections = shrunk(tmp_path, "embeddings.word_embeddings.weight", "encoder.layer.0.attention.self.value.weight")
    sections |= {
        "head": {"type": "text-classification", "pooling": "cls"},
        "train": {**sections["train"], "epochs": 40, "learning_rate": 0.05},
    }
    said = " ".join(told(tmp_path, capsys, data=texts, adapt={"method": "probe"}, **sections).split())
    assert "only int8 is lost: the trained model is kept" in said
    assert re.search(r"`export.precision: \[fp32\]`, which takes seconds", said)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "store").glob("stages/train/*/*")}
    sections["export"] = {**sections["export"], "precision": ["fp32"]}
    bundle = build(tmp_path, "bert", data=texts, adapt={"method": "probe"}, **sections)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "store").glob("stages/train/*/*")} == before
    assert verify(bundle).keys() == {"fp32"}
