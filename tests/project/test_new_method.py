"""A new method is one file and no other edit: one is added to a copy of the package and used in full."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from ..backbones import tiny
from ..matrix import rows
from .copied import ROOT, Copy, files

OVERLAY = Path(__file__).with_name("new_method")
WORD = "top-layers"


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    folder = tmp_path_factory.mktemp("copy")
    tiny.save("bert", folder / "backbone")
    data = rows.write(folder, "text-classification")
    spec = {
        "graftc": 1, "name": "copied", "backbone": {"from": "./backbone"}, "adapt": {"method": WORD, "layers": 2},
        "head": {"type": "text-classification"}, "data": {**data, "max_length": 32},
        "train": {"max_steps": 4, "batch_size": 8}, "export": {"gate": {"metric_drop": 1.0}},
    }  # fmt: skip
    return Copy(folder, OVERLAY, spec)


def test_only_a_module_is_added() -> None:
    assert files(OVERLAY) == ["compiler/methods/top_layers.py"]


def test_validation_knows_it_and_its_limits(copy: Copy) -> None:
    assert "fine" in copy.run("validate", copy.write("spec.yaml"))
    assert WORD in copy.run("validate", copy.write("a.yaml", adapt={"method": "porbe"}), status=1)
    assert "error[E0308]" in copy.run("validate", copy.write("b.yaml", adapt={"method": WORD, "layers": 9}), status=1)
    assert "`layers`" in copy.run("validate", copy.write("c.yaml", adapt={"method": WORD, "layers": 0}), status=1)


def test_other_methods_are_refused_with_it_among_those_that_work(copy: Copy) -> None:
    tiny.save("llama", copy.folder / "llama")
    spec = copy.write("d.yaml", backbone={"from": "./llama"}, adapt={"method": "bitfit"})
    assert WORD in copy.run("validate", spec, status=1).partition("methods that work here")[2]


def test_schema_knows_it(copy: Copy) -> None:
    check = Draft202012Validator(json.loads(copy.run("schema")))
    assert check.is_valid(copy.spec)
    assert not check.is_valid(copy.spec | {"adapt": {"method": WORD, "rank": 2}})


def test_it_is_planned_built_and_asked(copy: Copy) -> None:
    spec = copy.write("spec.yaml")
    plan = json.loads(copy.run("plan", spec, "--json"))
    learns = {tensor["name"] for tensor in plan["backbone"]["tensors"] if tensor["state"] == "trained"}
    assert {name.split(".")[2] for name in learns} == {"1", "2"}
    assert plan["train"]["learning_rate"] == 1e-4
    copy.run("build", spec, "--quiet")
    copy.run("verify", "bundles/copied")
    assert json.loads(copy.run("predict", "bundles/copied", "where is my parcel?"))["label"] in (0, 1, "0", "1")


def test_the_matrix_has_it(copy: Copy) -> None:
    words = ["--methods", WORD, "--heads", "text-classification", "token-classification", "--families", "bert", "gpt2"]
    said = copy.python(str(ROOT / "benchmarks" / "matrix.py"), *words)
    assert "4 cells" in said
    assert "4 built, 0 refused, 0 failed" in said
