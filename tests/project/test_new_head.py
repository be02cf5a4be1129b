"""A new head is two files and no other edit: one is added to a copy of the package and used in full.

The files lie in new_head/, under the paths that they take in the package.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from ..backbones import tiny
from .copied import Copy, files

OVERLAY = Path(__file__).with_name("new_head")
WORD = "ordinal-classification"
LABELS = ("poor", "fair", "good")
WORDS = {
    "poor": ("dull", "boring", "badly written", "late"),
    "fair": ("a book", "a film", "the box", "a parcel"),
    "good": ("warm", "funny", "beautiful", "great"),
}
SPEC = {
    "graftc": 1,
    "name": "stars",
    "backbone": {"from": "./backbone"},
    "head": {"type": WORD, "labels": list(LABELS)},
    "data": {"train": "train.jsonl", "validation": {"fraction": 0.2}, "max_length": 16},
    "train": {"epochs": 15, "batch_size": 16, "learning_rate": {"backbone": 1e-3, "head": 1e-2}},
}


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    made = Copy(tmp_path_factory.mktemp("copy"), OVERLAY, SPEC)
    tiny.save("bert", made.folder / "backbone")
    draw = random.Random(0)
    rows = [
        {"text": f"It was {draw.choice(WORDS[label])} and {draw.choice(WORDS[label])}, {draw.choice('abcd')}.", "label": label}
        for label in LABELS * 60
    ]  # fmt: skip
    (made.folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return made


def test_only_a_module_and_its_decoder_are_added() -> None:
    assert files(OVERLAY) == [f"{side}/heads/{WORD.replace('-', '_')}.py" for side in ("compiler", "runtime")]


def test_validation_knows_it(copy: Copy) -> None:
    assert "fine" in copy.run("validate", copy.write("spec.yaml"))
    assert "ordinal-classification" in copy.run("validate", copy.write("a.yaml", head={"type": "poetry"}), status=1)
    said = copy.run("validate", copy.write("b.yaml", head={"type": WORD}), status=1)
    assert "error[E0204]: `labels` is missing" in said


def test_its_limits_are_explained(copy: Copy) -> None:
    said = copy.run("validate", copy.write("c.yaml", head={"type": WORD, "labels": ["poor", "fair"]}), status=1)
    assert "error[E02" in said
    assert "`labels`" in said


def test_schema_knows_it(copy: Copy) -> None:
    check = Draft202012Validator(json.loads(copy.run("schema")))
    assert check.is_valid(SPEC)
    assert not check.is_valid(SPEC | {"head": {"type": WORD}})
    assert not check.is_valid(SPEC | {"data": {"train": "x", "columns": {"labels": "several"}, "image_size": 32}})


def test_it_is_planned_built_and_asked(copy: Copy) -> None:
    spec = copy.write("spec.yaml")
    plan = json.loads(copy.run("plan", spec, "--json"))
    assert plan["tasks"][0]["head"]["type"] == WORD
    assert plan["tasks"][0]["head"]["record"]["labels"] == list(LABELS)
    assert plan["tasks"][0]["head"]["parameters"] == (32 + 1) + 2, "a score of 32 numbers, two thresholds"

    copy.run("build", spec, "--quiet")
    metrics = json.loads((copy.folder / "bundles/stars/manifest.json").read_bytes())["metrics"]["validation"]
    assert metrics["torch"]["accuracy"] > 0.9
    copy.run("verify", "bundles/stars")

    texts = ["It was dull and boring, a.", "It was a film and a book, b.", "It was warm and great, c."]
    answers = [json.loads(line) for line in copy.run("predict", "bundles/stars", *texts).splitlines()]
    assert [answer["label"] for answer in answers] == list(LABELS)
    assert [round(answer["level"]) for answer in answers] == [0, 1, 2]

    script = [sys.executable, str(copy.folder / "bundles/stars/predict.py"), *texts]
    own = subprocess.run(script, capture_output=True, text=True, check=True, cwd=copy.folder / "bundles").stdout
    assert [json.loads(line) for line in own.splitlines()] == answers
    assert "Literal['poor', 'fair', 'good']" in (copy.folder / "bundles/stars/predict.py").read_text()
