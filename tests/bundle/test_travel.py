"""A bundle leaves its machine: it holds no path of it, and says in one line what was lost on the way."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import graftc
from graftc.compiler.api import plan
from graftc.compiler.planning.plan import read_plan
from graftc.compiler.planning.portable import portable
from graftc.runtime.model import Model

from ..backbones import tiny
from ..train import running
from .test_bundle import build, load_module


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a spec that names everything by absolute paths."""
    folder = tmp_path_factory.mktemp("secret-folder")
    tiny.save("bert", folder / "backbone", num_hidden_layers=1)
    shutil.copytree(running.TICKETS, folder / "tickets")
    data = {
        "train": [str(folder / "tickets" / "train.jsonl")],
        "validation": {"from": str(folder / "tickets" / "test.jsonl")},
        "columns": {"text": "body", "label": "queue"},
        "max_length": 16,
    }
    backbone = {"from": str(folder / "backbone")}
    return build(folder, "bert", backbone=backbone, adapt={"method": "lora"}, data=data, train={"max_steps": 4})


def test_a_bundle_holds_no_path_of_the_machine_that_built_it(bundle: Path) -> None:
    files = [path for path in bundle.rglob("*") if path.is_file()]
    assert {"plan.json", "spec.yaml", "adapter_config.json", "model.onnx"} <= {path.name for path in files}
    for word in (b"secret-folder", str(bundle.parent.parent).encode()):
        assert [path.name for path in files if word in path.read_bytes()] == []
    assert "from: backbone" in (bundle / "spec.yaml").read_text()
    settings = json.loads((bundle / "checkpoint" / "adapter_config.json").read_bytes())
    assert settings["base_model_name_or_path"] == "backbone"


def test_the_plan_of_a_bundle_is_the_one_its_manifest_names(bundle: Path) -> None:
    packed = read_plan((bundle / "plan.json").read_text(), "plan.json")
    assert json.loads((bundle / "manifest.json").read_bytes())["hashes"]["plan"] == packed.sha256
    own = plan(bundle.parent / "spec.yaml")
    assert own.sha256 != packed.sha256, "that one can be built, from where its files are"
    assert portable(own) == packed
    assert portable(packed) == packed


def asked(bundle: Path, *python: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, *python, str(bundle / "predict.py"), "I was charged twice"]
    return subprocess.run(words, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": ""})


LOST: dict[str, Callable[[Path], object]] = {
    "gone": shutil.rmtree,
    "empty": lambda folder: (shutil.rmtree(folder), folder.mkdir()),
    "a module gone": lambda folder: (folder / "session.py").unlink(),
    "half a module": lambda folder: os.truncate(folder / "model.py", 1000),
    "zeros": lambda folder: (folder / "manifest.py").write_bytes(b"\0" * 100),
    "another file": lambda folder: (folder / "errors.py").write_text("BundleErr = 1"),
}


@pytest.mark.parametrize("case", LOST)
def test_a_bundle_whose_runtime_was_lost_says_so_in_one_line(case: str, bundle: Path, tmp_path: Path) -> None:
    copy = tmp_path / "bundle"
    shutil.copytree(bundle, copy)
    LOST[case](copy / "graftc_runtime")
    done = asked(copy)
    assert (done.returncode, done.stdout) == (1, "")
    expected = f"error[E0503]: `{copy / 'graftc_runtime'}` is missing or damaged: build or copy the bundle again\n"
    assert done.stderr == expected


def test_a_bundle_whose_packages_are_missing_says_which(bundle: Path, tmp_path: Path) -> None:
    copy = tmp_path / "bundle"
    shutil.copytree(bundle, copy)
    done = asked(copy, "-S")  # no site-packages
    assert done.returncode == 1
    assert (
        done.stderr
        == f"error[E0507]: the bundle needs the package `numpy`: pip install -r {copy / 'requirements.txt'}\n"
    )


def test_a_runtime_that_was_mended_is_loaded_in_the_same_process(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith("graftc_runtime")]:
        monkeypatch.delitem(sys.modules, name)  # another bundle of this process may have loaded the same
    copy = tmp_path / "bundle"
    shutil.copytree(bundle, copy)
    (copy / "graftc_runtime" / "model.py").rename(copy / "model.py")
    predict = load_module(copy / "predict.py", "predict_mended")
    with pytest.raises(ImportError, match="missing or damaged"):
        predict.Model()
    (copy / "model.py").rename(copy / "graftc_runtime" / "model.py")
    assert predict.Model().predict("x").label in predict.Model().labels


def test_a_model_knows_its_labels(bundle: Path) -> None:
    labels = ("billing", "bug", "cancellation", "delivery", "howto")
    assert Model(bundle).labels == labels
    assert load_module(bundle / "predict.py", "predict_labels").Model().labels == labels


def test_refusals_are_public(tmp_path: Path) -> None:
    assert {"BundleError", "Refused", "build", "load", "plan", "validate"} <= set(dir(graftc))
    with pytest.raises(graftc.BundleError):
        graftc.load(tmp_path)
    with pytest.raises(graftc.Refused):
        graftc.plan(tmp_path / "spec.yaml")
