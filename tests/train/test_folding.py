"""Frozen layers computed once: training from what they hand on is, to the bit, training with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from graftc.compiler import variants
from graftc.compiler.diagnostics import Refused
from graftc.compiler.execution.kept import Keeper, read_kept
from graftc.compiler.networks.folding import Prefix
from graftc.compiler.planning.folding import STACK
from graftc.compiler.verbs import plan

from ..backbones import tiny
from . import running

FOLDS = sorted(
    word
    for word in variants.words("backbones")
    if STACK in (family := variants.load("backbones", word)).PARTS
    and "tokens" in family.PROVIDES
    and not hasattr(family, "UNFOLDED")
)


def write(folder: Path, name: str = "spec.yaml", **sections: Any) -> Path:
    """Forty rows of ragged lengths, two epochs, the lowest of three layers frozen unless it is said otherwise."""
    rows = (running.TICKETS / "train.jsonl").read_text().splitlines(keepends=True)
    (folder / "train.jsonl").write_text("".join(rows[:40]))
    spec = {
        "graftc": 1,
        "name": "t",
        "backbone": {"from": "./backbone", "freeze": ["embeddings", "layers[0:1]"]},
        "head": {"type": "text-classification", "dropout": 0.1},
        "data": {
            "train": "train.jsonl",
            "validation": {"fraction": 0.2},
            "columns": {"text": "body", "label": "queue"},
            "max_length": 24,
        },
        "train": {"epochs": 2, "batch_size": 8, "learning_rate": 1e-3},
    }
    path = folder / name
    path.write_text(yaml.safe_dump({**spec, **sections}, sort_keys=False))
    return path


def losses(spec: Path, store: str, **train: Any) -> tuple[str, np.ndarray]:
    """What is folded, and the loss of every step."""
    text = yaml.safe_load(spec.read_text())
    spec.write_text(yaml.safe_dump({**text, "train": {**text["train"], **train}}, sort_keys=False))
    planned, _, out = running.trained(spec, spec.parent / store)
    return planned.train.fold, np.load(out / "losses.npy")


@pytest.mark.parametrize("family", FOLDS)
def test_every_family_that_folds_loses_the_same_to_the_bit(family: str, tmp_path: Path) -> None:
    tiny.save(family, tmp_path / "backbone")
    spec = write(tmp_path)
    folded, ours = losses(spec, "folded")
    plain, theirs = losses(spec, "plain", fold="off")
    assert (folded, plain) == ("layers[0:1]", "none")
    assert np.array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("sections", "fold"),
    [
        ({"adapt": {"method": "lora"}}, "layers[0:1]"),
        ({"backbone": {"from": "./backbone", "freeze": ["embeddings", "layers[0:3]"]}}, "feature"),
        ({"adapt": {"method": "lora", "dropout": 0.1}, "backbone": {"from": "./backbone", "freeze": ["embeddings", "layers[0:2]"]}}, "layers[0:2]"),
        ({"adapt": {"method": "adapter"}, "backbone": {"from": "./backbone", "freeze": ["embeddings", "layers[0:2]"]}}, "layers[0:2]"),
    ],
)  # fmt: skip
def test_methods_and_depths(sections: dict[str, Any], fold: str, tmp_path: Path) -> None:
    tiny.save("bert", tmp_path / "backbone")
    spec = write(tmp_path, **sections)
    folded, ours = losses(spec, "folded", group_by_length=False)  # features have no length that batches could share
    assert folded == fold
    _, theirs = losses(spec, "plain", fold="off")
    assert np.array_equal(ours, theirs) if fold.startswith("layers") else np.allclose(ours, theirs, rtol=1e-5)


TOKENS = {"train": "rows.jsonl", "columns": {"tokens": "tokens", "tags": "tags"}, "max_length": 24}


def test_a_probe_that_reads_tokens_folds_every_layer(tmp_path: Path) -> None:
    tiny.save("bert", tmp_path / "backbone")
    rows = ['{"tokens": ["my", "parcel", "is", "late"], "tags": ["O", "B-thing", "O", "O"]}\n'] * 20
    (tmp_path / "rows.jsonl").write_text("".join(rows))
    spec = write(
        tmp_path,
        backbone={"from": "./backbone"},
        adapt={"method": "probe"},
        head={"type": "token-classification"},
        data=TOKENS,
    )
    folded, ours = losses(spec, "folded")
    _, theirs = losses(spec, "plain", fold="off")
    assert folded == "layers[0:3]"
    assert np.allclose(ours, theirs, rtol=1e-5)


@pytest.mark.parametrize(
    ("family", "sections", "reason"),
    [
        ("albert", {}, "share"),
        ("bert", {"backbone": {"from": "./backbone", "freeze": ["layers[0:1]"]}}, "beneath"),
        ("bert", {"train": {"epochs": 1, "batch_size": 8}}, "one epoch"),
        ("bert", {"adapt": {"method": "prompt"}, "backbone": {"from": "./backbone"}}, "beneath"),
    ],
)
def test_what_can_t_be_folded_says_why(family: str, sections: dict[str, Any], reason: str, tmp_path: Path) -> None:
    from click.testing import CliRunner

    from graftc.compiler.commands import cli

    tiny.save(family, tmp_path / "backbone", **({"num_hidden_groups": 3} if family == "albert" else {}))
    spec = write(tmp_path, **sections)
    assert plan(spec).train.fold == "none"
    said = CliRunner().invoke(cli, ["plan", str(spec), "--why", "train.fold"]).output
    assert reason in said


def test_what_is_kept_is_shared_by_specs_of_the_same_prefix(tmp_path: Path) -> None:
    """Another rate, another method above the prefix, another head of the same labels: the states stay."""
    tiny.save("bert", tmp_path / "backbone")
    running.trained(write(tmp_path), tmp_path / "store")
    made = set((tmp_path / "store" / "stages").glob("fold-*/*"))
    for sections in ({"adapt": {"method": "lora"}}, {"train": {"epochs": 3, "batch_size": 4}}, {"head": {"type": "text-classification", "hidden": [8]}}):  # fmt: skip
        running.trained(write(tmp_path, "other.yaml", **sections), tmp_path / "store")
    assert len(made) == 2, "training and validation rows"
    assert set((tmp_path / "store" / "stages").glob("fold-*/*")) == made
    running.trained(write(tmp_path, "other.yaml", backbone={"from": "./backbone", "freeze": ["embeddings", "layers[0:2]"]}), tmp_path / "store")  # fmt: skip
    assert len(set((tmp_path / "store" / "stages").glob("fold-*/*"))) == 4, "another depth hands on other states"


def test_the_estimate_is_what_the_store_holds(tmp_path: Path) -> None:
    tiny.save("bert", tmp_path / "backbone")
    spec = write(tmp_path, data={"train": "train.jsonl", "columns": {"text": "body", "label": "queue"}})
    planned, _, _ = running.trained(spec, tmp_path / "store")
    found = sum(p.stat().st_size for p in (tmp_path / "store" / "stages").glob("fold-*/*/*"))
    assert planned.estimates.folded_bytes == pytest.approx(found, rel=0.1)


def test_states_that_are_not_the_network_s_stop_the_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny.save("bert", tmp_path / "backbone")
    right = Prefix.states
    monkeypatch.setattr(Prefix, "states", lambda self, given: right(self, given) * 1.5)
    with pytest.raises(Refused, match="E0418"):
        running.trained(write(tmp_path), tmp_path / "store")


def test_what_is_kept_comes_back_row_by_row(tmp_path: Path) -> None:
    lengths = np.array([3, 1, 2])
    keeper = Keeper(tmp_path, 3, 4, lengths)
    states = np.arange(36, dtype=np.float32).reshape(3, 3, 4)
    keeper.put([2, 0, 1], states[[2, 0, 1]])
    keeper.close()
    found = read_kept(tmp_path).states(np.array([1, 2]), 3)
    assert np.array_equal(found[0, :1], states[1, :1])
    assert np.array_equal(found[1, :2], states[2, :2])
    assert not found[0, 1:].any()
    assert not found[1, 2:].any()
