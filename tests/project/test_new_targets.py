"""A head whose targets are two arrays of a length of their own in each row: added to a copy of the package and used."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from ..backbones import tiny
from .copied import Copy, files

OVERLAY = Path(__file__).with_name("new_targets")
SHARES = {
    topic: [[letter, 0.9 if letter == own else 0.1] for letter in "abcd"]
    for topic, own in {"billing": "a", "bug": "c", "howto": "d"}.items()
}
SPEC = {
    "graftc": 1,
    "name": "topics",
    "backbone": {"from": "./backbone"},
    "head": {"type": "topic-shares"},
    "data": {"train": "train.jsonl", "validation": {"fraction": 0.2}, "max_length": 16},
    "train": {"epochs": 12, "batch_size": 16, "learning_rate": {"backbone": 1e-3, "head": 1e-2}},
    "export": {"gate": {"metric_drop": 1.0}},
}


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    made = Copy(tmp_path_factory.mktemp("copy"), OVERLAY, SPEC)
    tiny.save("bert", made.folder / "backbone")
    draw = random.Random(0)
    rows = [
        {"text": f"{topic} {draw.choice('abcd')} {topic}", "shares": draw.sample(shares, draw.randint(0, 4))}
        for topic, shares in list(SHARES.items()) * 40
    ]
    (made.folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return made


def test_only_modules_of_its_own_are_added() -> None:
    own = ["compiler/heads/topic_shares.py", "compiler/metrics/shares.py", "runtime/heads/topic_shares.py"]
    assert files(OVERLAY) == own


@pytest.mark.parametrize("method", ["full", "probe"])
def test_it_is_built_and_asked(copy: Copy, method: str) -> None:
    """With a backbone that learns, and with one whose features are kept."""
    spec, bundle = copy.write(f"{method}.yaml", adapt={"method": method}), f"bundles/{method}"
    copy.run("build", spec, "--quiet", "-o", bundle)
    scores = json.loads((copy.folder / bundle / "manifest.json").read_bytes())["metrics"]["validation"]
    assert scores["torch"]["error"] == pytest.approx(scores["fp32"]["error"], abs=1e-4)
    assert scores["torch"]["error"] < {"full": 0.15, "probe": 0.3}[method]
    assert "fp32: golden answers given" in copy.run("verify", bundle)
    if method == "full":
        said = [json.loads(line) for line in copy.run("predict", bundle, "billing b billing", "bug a bug").splitlines()]
        assert [answer["topic"] for answer in said] == ["a", "c"]
