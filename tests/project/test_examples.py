"""Every example spec is built into a bundle that verifies and answers; a new file in specs/ is picked up."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import graftc
from graftc.compiler import variants
from graftc.compiler.language.source import read
from graftc.runtime.verify import verify

from ..backbones import tiny

SPECS = Path(__file__).resolve().parents[2] / "specs"
TINY = {"text": "bert", "image": "mobilenet-v2"}  # a small backbone for each kind of input
QUESTIONS = {
    "text": ["where is my parcel?", "it is fine"],
    "image": [str(SPECS / "data/digits/test/four/000.png")],
    "prompt": ["where is my parcel?", "it is fine"],
    "source": ["The express to Bern leaves at six o'clock.", "it is fine"],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for backbones and a store, shared: what two examples have in common is computed once."""
    return tmp_path_factory.mktemp("examples")


def settings(spec: dict[str, Any], folder: Path) -> list[str]:
    """What a spec needs to build in seconds: a tiny backbone, a few steps, and no gate on what was hardly learned."""
    heads = [spec["head"]] if "head" in spec else [*spec["heads"].values()]
    (modality,) = {variants.head(head["type"]).modality for head in heads}
    backbone = folder / modality
    steps = ["train.epochs=", "train.max_steps=3", "export.gate.metric_drop=1"]
    if modality not in TINY:  # their backbones are small, and lie beside the examples
        return steps
    if not backbone.exists():
        # six layers, as MiniLM has, so that the examples' selectors and targets keep their meaning
        tiny.save(TINY[modality], backbone, **({"num_hidden_layers": 6} if modality == "text" else {}))
    start = {**spec["backbone"], "from": str(backbone)}
    longest = [f"data.max_length={min(64, spec['data'].get('max_length', 64))}"] if modality == "text" else []
    return [
        f"backbone={json.dumps(start)}",
        *longest,
        *steps,
    ]


@pytest.mark.parametrize("path", sorted(SPECS.glob("*.yaml")), ids=lambda path: path.stem)
def test_example_becomes_a_bundle(path: Path, folder: Path, tmp_path: Path) -> None:
    spec = read(path).data
    sets = settings(spec, folder)
    built = graftc.build(path, tmp_path / "bundle", folder / "store", sets)
    assert built.plan.name == path.stem, "an example is named as its file"
    assert set(built.ran) >= {"rehearse", "train", "export", "verify", "pack"}  # rows may be shared with another one
    precisions = spec.get("export", {}).get("precision", ("fp32",))
    assert list(verify(built.folder)) == list(precisions)

    again = graftc.build(path, tmp_path / "bundle", folder / "store", sets)
    assert not again.ran, "a second build does nothing"

    words = QUESTIONS[built.plan.reading.modality]
    asked = [sys.executable, str(built.folder / "predict.py"), *words]
    answers = subprocess.run(asked, cwd=tmp_path, capture_output=True, text=True, check=True).stdout.splitlines()
    is_pair = built.plan.reading.preprocessing.get("is_pair", False)
    assert len(answers) == len(words) // (2 if is_pair else 1)
    model = graftc.load(built.folder)
    assert len(model.predict(model.from_words(words))) == len(answers)
    assert json.loads(answers[0]) is not None
