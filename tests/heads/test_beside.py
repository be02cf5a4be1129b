"""Heads without answers of their own beside others: words that are masked anew in each step, features that learn nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import transformers
import yaml
from safetensors.torch import load_file

from graftc.compiler.api import plan
from graftc.runtime.model import Model

from .. import loaded
from ..backbones import tiny
from ..train import running
from . import building
from .test_adapters import OWN
from .test_several import MOOD, SHARED, THING, TRAIN, rows, write

WORDS = {"type": "fill-mask"}
VECTOR = {"type": "feature-extraction"}
HELD_OUT = {**SHARED, "validation": {"fraction": 0.25}}


def lay(folder: Path, heads: dict[str, Any], **sections: Any) -> Path:
    """A spec with heads on a tiny BERT that brings its language model's head."""
    tiny.save("bert", folder / "backbone", transformers.AutoModelForMaskedLM)
    building.write_rows(folder / "corpus.jsonl", [{"text": row["text"]} for row in rows(40, 5)])
    return write(folder, heads, **sections)


def over(spec: Path, **sections: Any) -> Path:
    """The spec with other sections."""
    spec.write_text(yaml.safe_dump({**yaml.safe_load(spec.read_text()), **sections}, sort_keys=False))
    return spec


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    heads = {"mood": {**MOOD, **OWN}, "thing": THING, "words": {**WORDS, **OWN}, "vector": VECTOR}
    spec = lay(tmp_path_factory.mktemp("beside"), heads, adapt={"method": "lora"})
    stage = {
        "objective": "masked-language-modeling",
        "data": {"train": "corpus.jsonl", "test": "corpus.jsonl", "max_length": 24},
        "train": {"max_steps": 3},
    }
    return building.built(over(spec, pretrain=[stage], retain={"data": "corpus.jsonl"}))


def test_one_graph_fills_masks_gives_features_and_answers(bundle: Path) -> None:
    model = Model(bundle)
    assert set(model.graphs.model.outputs) == {"mood.logits", "thing.logits", "words.logits", "vector.features"}
    (none, two) = model.predict(["the ship was bad", "the [MASK] was [MASK]"])
    assert none["words"] == ()
    assert len(two["words"]) == 2 * 5
    assert len(two["vector"].features) == 32
    assert len(model.predict("a [MASK]", head="words", top_k=3)) == 3
    assert building.script(bundle, "the [MASK] was bad")[0].keys() == {"mood", "thing", "words", "vector"}
    gates = building.gates(bundle)
    assert gates["parity"]["worst"] < 1e-4
    assert set(gates["metric"]) == {"mood.fp32", "thing.fp32", "words.fp32"}


def test_each_adapter_says_what_it_retains_and_the_card_the_worst(bundle: Path) -> None:
    retained = json.loads((bundle / "manifest.json").read_bytes())["retain"]
    losses = {adapter: scores["loss"] for adapter, scores in retained["adapters"].items()}
    assert losses.keys() == {"", "mood", "words"}
    assert len(set(losses.values())) == 3
    assert retained["after"]["loss"] == max(losses.values())
    assert "through the adapter that keeps least of it" in (bundle / "README.md").read_text(encoding="utf-8")


def test_what_learns_nothing_teaches_nothing(tmp_path: Path) -> None:
    """With features beside it a head learns, to the bit, what it learns without; rows that only they read are no steps."""
    learned, sections = {}, {"data": HELD_OUT, "adapt": {"method": "probe"}, "train": {**TRAIN, "max_steps": 20}}
    for place, more in (("without", {}), ("with", {"vector": VECTOR})):
        (tmp_path / place).mkdir()
        spec = lay(tmp_path / place, {"mood": MOOD, "thing": THING, **more}, **sections)
        building.write_rows(tmp_path / place / "rows.jsonl", [*rows(60, 0), *({"text": f"none {i}"} for i in range(9))])
        found, _, out = running.trained(spec, tmp_path / place / "store")
        learned[place] = load_file(out / "learned.safetensors"), found.train.sets[0].rows, found.train.fold
    (without, count, fold), (with_, same, _) = learned["without"], learned["with"]
    assert (count, fold, with_.keys()) == (same, "feature", without.keys())
    assert all(np.array_equal(tensor, with_[name]) for name, tensor in without.items())
    (tmp_path / "tokens").mkdir()
    heads = {"mood": MOOD, "each": {**VECTOR, "pooling": "none"}}
    found = plan(lay(tmp_path / "tokens", heads, is_whole=True, **sections))
    assert found.train.fold == "layers[0:3]", "a vector for each token is no feature of a text"


def test_the_same_rows_are_held_out_for_heads_without_answers(tmp_path: Path) -> None:
    heads = {"mood": MOOD, "thing": THING, "words": WORDS, "vector": VECTOR}
    spec = lay(tmp_path, heads, data=HELD_OUT, adapt={"method": "lora"}, train={**TRAIN, "max_steps": 2})
    found, _, run = running.training(spec, tmp_path / "store")
    (shared,) = run.sets
    assert [rows.task.name for rows in shared.rows] == ["mood", "thing", "words"]
    held = {name: set(rows.prepared.numbers.tolist()) for name, rows in run.validation.items()}
    assert held.keys() == {"mood", "thing", "words"}
    assert held["mood"] | held["thing"] <= held["words"]
    assert held["words"].isdisjoint(shared.every.tolist())
    assert len(shared.every) == found.train.sets[0].rows == 60 - len(held["words"])
    for task in found.tasks[:3]:
        assert next(s.rows for s in task.data.splits if s.name == "validation") == len(held[task.name])


def test_only_the_words_are_masked(tmp_path: Path) -> None:
    """In one step the head of words is asked masked texts, and the others the texts as they are."""
    spec = lay(tmp_path, {"mood": MOOD, "words": WORDS}, is_whole=True, adapt={"method": "lora"})
    _, _, run = running.training(spec, tmp_path / "store")
    asked: list[Any] = []

    for seed in (1, 3):
        for each in run.sets[0].batch(run.sets[0].every[:6].tolist(), seed, 2).passes:
            asked.append((list(each.tasks), each.arrays["input_ids"]))
    assert [names for names, _ in asked] == [["mood"], ["words"]] * 2
    (_, plain), (_, masked), (_, again), (_, anew) = asked
    mask = run.plan.task("words").head.record["mask_id"]
    assert (plain == again).all()
    assert not (plain == mask).any()
    assert (masked == mask).any()
    assert (masked != anew).any()


WRONG: list[tuple[str, Callable[[dict[str, Any]], Any], str, str]] = [
    ("its own", lambda s: s["heads"]["vector"].update(adapt="own"), "E0551", "no head would train the adapter of `vector`"),
    ("nobody's", lambda s: s["heads"]["mood"].update(adapt="own"), "E0551", "no head would train the adapter of `vector`"),
    ("a weight", lambda s: s["heads"]["vector"].update(weight=2.0), "W0302", "`weight` has no effect on a head that learns nothing"),
    ("a metric", lambda s: s["heads"]["vector"].update(metric="f1"), "W0302", "`metric` has no effect on a head that learns nothing"),
    ("picked by nothing", lambda s: s["train"].update(metric="vector.f1"), "E0321", "the metric of no head"),
    ("none learns", lambda s: s.update(heads={"a": dict(VECTOR), "b": dict(VECTOR)}), "E0395", "`lora` has nothing to learn"),
    ("another metric", lambda s: s["heads"].update(words={**WORDS, "metric": "f1"}), "E0321", "`f1` is not a metric of `fill-mask`"),
    ("what it has not", lambda s: s["heads"].update(next={"type": "fill-masks"}), "E0203", "unknown type"),
]  # fmt: skip


@pytest.mark.parametrize("case", WRONG, ids=[case[0] for case in WRONG])
def test_what_is_wrong_is_told_at_its_place(case: Any, tmp_path: Path) -> None:
    _, change, code, words = case
    heads = {"mood": dict(MOOD), "vector": dict(VECTOR)}
    spec = lay(tmp_path, heads, is_whole=True, adapt={"method": "lora"})
    values = yaml.safe_load(spec.read_text())
    change(values)
    spec.write_text(yaml.safe_dump(values, sort_keys=False))
    found = [each for each in building.found(spec) if each.code not in ("W0310", "W0316", "W0391")]
    assert [each.code for each in found] == [code], found
    assert words in found[0].headline
    assert found[0].help or found[0].notes


def test_two_ways_of_features_and_nothing_to_learn(tmp_path: Path) -> None:
    heads = {"text": VECTOR, "tokens": {**VECTOR, "pooling": "none"}}
    spec = lay(tmp_path, heads, adapt={"method": "full"}, train={})
    assert plan(spec).train.steps == 0
    answer = Model(building.built(spec)).predict("the ship was bad")
    assert np.ndim(answer["text"].features) == 1
    assert np.ndim(answer["tokens"].features) == 2


def test_the_command_says_the_scores_of_those_that_have_some_and_the_gap_is_of_all(tmp_path: Path) -> None:
    """Heads with tables of their own take turns, so that the loss of a step is that of one of them."""
    more = {"train": "corpus.jsonl", "validation": "corpus.jsonl"}
    heads = {"mood": {**MOOD, "start": "random"}, "words": {**WORDS, "data": more}, "vector": VECTOR}
    spec = lay(tmp_path, heads, train={"epochs": 1, "batch_size": 8, "learning_rate": 1e-9})
    ran = loaded.run("-m", "graftc", "build", spec, "-o", tmp_path / "bundle", "--store", tmp_path / "store")
    assert ran.returncode == 0, ran.stderr
    assert "mood.accuracy" in ran.stdout
    assert "words.loss" in ran.stdout
    assert "vector" not in ran.stdout.replace("prepare-vector", "")
    (epoch,) = json.loads((tmp_path / "bundle" / "manifest.json").read_bytes())["training"]["epochs"]
    assert epoch["train_loss"] == pytest.approx(epoch["validation_loss"], rel=0.1), "nothing was learned"
