"""A new family that differs from another in little is one file and no other edit, in a copy of the package."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import transformers

from ..backbones import tiny
from ..matrix import rows
from .copied import Copy, files

OVERLAY = Path(__file__).with_name("new_family")
WORD = "camembert"


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    folder = tmp_path_factory.mktemp("copy")
    _save(folder / "backbone")
    data = rows.write(folder, "text-classification")
    spec = {
        "graftc": 1, "name": "copied", "backbone": {"from": "./backbone", "freeze": ["embeddings", "layers[0:1]"]},
        "adapt": {"method": "lora"}, "head": {"type": "text-classification"}, "data": {**data, "max_length": 32},
        "train": {"max_steps": 4, "batch_size": 8}, "export": {"gate": {"metric_drop": 1.0}},
    }  # fmt: skip
    return Copy(folder, OVERLAY, spec)


def _save(folder: Path) -> None:
    """A tiny CamemBERT with RoBERTa's tokenizer."""
    like = tiny.config("roberta").to_dict()
    config = transformers.CamembertConfig(**{key: value for key, value in like.items() if key != "model_type"})
    transformers.CamembertModel(config, add_pooling_layer=False).save_pretrained(folder)
    tiny.tokenizer("roberta").save_pretrained(folder)


def test_only_a_module_is_added() -> None:
    assert files(OVERLAY) == ["compiler/backbones/camembert.py"]


def test_validation_knows_it_and_the_rules_of_its_config(copy: Copy) -> None:
    assert "fine" in copy.run("validate", copy.write("spec.yaml"))
    config = json.loads((copy.folder / "backbone" / "config.json").read_text())
    _save(copy.folder / "other")
    (copy.folder / "other" / "config.json").write_text(json.dumps(config | {"hidden_size": "wide"}))
    assert "error[E0382]" in copy.run("validate", copy.write("a.yaml", backbone={"from": "./other"}), status=1)
    (copy.folder / "other" / "config.json").write_text(json.dumps(config | {"model_type": "camenbert"}))
    assert WORD in copy.run("validate", copy.write("a.yaml", backbone={"from": "./other"}), status=1)


def test_it_is_planned_built_and_asked(copy: Copy) -> None:
    spec = copy.write("spec.yaml")
    plan = json.loads(copy.run("plan", spec, "--json"))
    assert plan["backbone"]["family"] == WORD
    added = {tensor["name"] for tensor in plan["backbone"]["tensors"] if tensor["state"] == "added"}
    assert {name.split(".")[2] for name in added} == {"1", "2"}
    copy.run("build", spec, "--quiet")
    copy.run("verify", "bundles/copied")
    assert json.loads(copy.run("predict", "bundles/copied", "where is my parcel?"))["label"] in (0, 1, "0", "1")
