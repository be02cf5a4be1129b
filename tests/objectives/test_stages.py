"""Self-supervised stages: what they ask, what they learn, and what the supervised stage starts from."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import peft
import pytest
import torch
import transformers
from safetensors.torch import load_file

import graftc
from graftc.compiler.api import CheckOptions, check, lock_source
from graftc.compiler.diff.snapshots import of_spec
from graftc.compiler.diff.stages import compare_stages
from graftc.compiler.execution.prepared import Prepared
from graftc.compiler.heads import _masking, _vocabulary
from graftc.compiler.language.source import read
from graftc.compiler.objectives import causal_language_modeling as causal
from graftc.compiler.objectives import sentence_order
from graftc.compiler.planning.show import show
from graftc.compiler.training.loop import Training

from ..backbones import tiny
from ..heads import building
from ..train import running

WHO = ("The manager", "A man", "Nobody", "The central bank", "My account")
DOES = ("is playing a guitar", "raised interest rates", "was billed twice", "is worth knowing", "goes to the north")
ENDS = ("in the rain.", "of the city.", "this month.", "on the stage.", "before nine in the morning.")
TEXTS = [f"{who} {does} {end} It was {end[:-1]}." for who in WHO for does in DOES for end in ENDS]
RECORD = {"mask_share": 0.25, "whole_word": False, "mask_id": 4, "special_ids": [0, 1, 2, 3, 4], "vocabulary": 50}


def written(folder: Path, family: str, stage: dict[str, Any], auto: Any = None, **sections: Any) -> Path:
    """A spec with a stage before a classifier of few rows."""
    if auto:
        tiny.save(family, folder / "backbone", auto)
    building.write_rows(folder / "corpus.jsonl", [{"text": text} for text in TEXTS[:100]])
    building.write_rows(folder / "held.jsonl", [{"text": text} for text in TEXTS[100:]])
    labelled = [{"text": text, "label": "ab"[i % 2]} for i, text in enumerate(TEXTS[:24])]
    building.write_rows(folder / "train.jsonl", labelled)
    building.write_rows(folder / "validation.jsonl", labelled[:12])
    data = {"train": "corpus.jsonl", "test": "held.jsonl", "max_length": 32}
    whole = {"data": data, "train": {"max_steps": 30, "batch_size": 16, "learning_rate": 3e-3}, **stage}
    given = {"train": "train.jsonl", "validation": "validation.jsonl", "max_length": 32}
    head = sections.pop("head", {"type": "text-classification"})
    return building.written(folder, family, head, given, pretrain=[whole], **sections)


def manifest(folder: Path) -> Any:
    return json.loads((folder / "manifest.json").read_bytes())


def test_masks_are_drawn_from_their_seed_and_asked_whole_where_words_are() -> None:
    row = {
        "input_ids": np.array([2, 10, 11, 12, 13, 14, 15, 16, 17, 3]),
        "words": np.array([-1, 0, 0, 1, 1, 2, 2, 3, 3, -1]),
    }
    drawn, target = _masking.draw(RECORD, row, np.random.default_rng([7, 1]), False)
    again, _ = _masking.draw(RECORD, row, np.random.default_rng([7, 1]), False)
    assert np.array_equal(drawn["input_ids"], again["input_ids"])
    assert (drawn["input_ids"][drawn["masks"]] == 4).all()
    assert np.array_equal(row["input_ids"][drawn["masks"]], target)
    assert len(target) == 2
    whole, target = _masking.draw({**RECORD, "whole_word": True}, row, np.random.default_rng([7, 1]), False)
    assert len(set(row["words"][whole["masks"]])) == 1
    assert len(target) == 2


def test_in_training_some_chosen_words_stay_and_some_become_others() -> None:
    row = {"input_ids": np.full(4000, 10)}
    drawn, target = _masking.draw(RECORD, row, np.random.default_rng(0), True)
    shown = drawn["input_ids"][drawn["masks"]]
    assert abs((shown == 4).mean() - 0.8) < 0.05
    assert abs((shown == 10).mean() - 0.1) < 0.05
    assert (drawn["input_ids"] != 10).sum() < len(target)


def test_a_mask_that_a_text_holds_already_is_no_target() -> None:
    """A graph answers for every mask that it sees, so that what is aimed at must have a place for it."""
    row = {"input_ids": np.array([2, 10, 4, 11, 12, 3])}
    drawn, target = _masking.draw(RECORD, row, np.random.default_rng(1), False)
    assert drawn["masks"].tolist() == np.flatnonzero(drawn["input_ids"] == 4).tolist()
    assert len(drawn["masks"]) == 2
    assert target[drawn["masks"].tolist().index(2)] == _vocabulary.IGNORED
    assert sorted(target)[1] in (10, 11, 12)


def test_of_few_words_one_is_masked() -> None:
    _, target = _masking.draw(RECORD, {"input_ids": np.array([2, 10, 3])}, np.random.default_rng(0), False)
    assert target.tolist() == [10]


def test_a_text_that_fills_a_block_to_the_last_token_is_one() -> None:
    record = {"end_id": 9, "special_ids": [], "length": 4}
    blocks = causal.pack(record, [{"input_ids": np.array(ids)} for ids in ([1, 2, 3], [4, 5, 6])])
    assert [block["input_ids"].tolist() for block in blocks] == [[1, 2, 3, 9], [4, 5, 6, 9]]


def test_blocks_are_full_and_hold_every_text_with_its_end() -> None:
    record = {"end_id": 9, "special_ids": [0], "length": 4}
    rows = [{"input_ids": np.array(ids)} for ids in ([1, 2, 3], [4, 5], [0, 6, 7])]
    blocks = list(causal.pack(record, rows))
    assert [block["input_ids"].tolist() for block in blocks] == [[1, 2, 3, 9], [4, 5, 9, 0]]
    assert causal.aims(record, blocks[0]).tolist() == [2, 3, 9, _vocabulary.IGNORED]


def test_entropy_of_words() -> None:
    assert _vocabulary.unigram_entropy([np.array([1, 2, -100]), np.array([1, 2])]) == pytest.approx(np.log(2))


def test_half_of_the_texts_are_swapped_always_the_same_ones() -> None:
    columns = {"text": ("text",)}
    pairs = [sentence_order.raw({"text": text}, columns, Path()) for text in TEXTS]
    swapped = [int(sentence_order.target({}, {"text": text}, columns, [0])[0]) for text in TEXTS]
    assert 40 < sum(swapped) < 85
    for text, pair, is_swapped in zip(TEXTS, pairs, swapped, strict=True):
        assert " ".join(reversed(pair) if is_swapped else pair) == text


@pytest.mark.parametrize("metric", ["accuracy", "f1_macro", "roc_auc_macro"])
def test_sentence_order_has_every_score_on_texts_that_validate_it(tmp_path: Path, metric: str) -> None:
    data = {"train": "corpus.jsonl", "validation": "held.jsonl", "max_length": 32}
    train = {"max_steps": 3, "batch_size": 16, "metric": metric}
    spec = written(tmp_path, "bert", {"objective": "sentence-order", "data": data, "train": train})
    assert not [found for found in building.found(spec) if found.is_error]


def test_a_head_that_learns_nothing_is_not_asked_for_on_a_backbone_without_a_tokenizer(tmp_path: Path) -> None:
    tiny.save("bert", tmp_path / "backbone", transformers.AutoModelForMaskedLM)
    (tmp_path / "backbone" / "tokenizer.json").unlink()
    building.write_rows(tmp_path / "train.jsonl", [{"text": text} for text in TEXTS])
    data, adapt = {"train": "train.jsonl"}, {"method": "probe"}
    spec = building.written(tmp_path, "bert", {"type": "fill-mask"}, data, adapt=adapt)
    assert [found.code for found in building.found(spec) if found.is_error] == ["E0306"]


def test_a_missing_head_is_fitted_alone_and_what_follows_starts_from_the_stage(tmp_path: Path) -> None:
    spec = written(tmp_path, "bert", {"objective": "masked-language-modeling", "head_steps": 20})
    built = graftc.build(spec, tmp_path / "bundle", tmp_path / "store")
    assert {"pretrain-1-head", "pretrain-1", "pretrain-1-merge", "train"} <= built.ran.keys()
    (report,) = manifest(built.folder)["pretrain"]
    assert report["after"]["loss"] < 0.9 * report["before"]["loss"] < 6
    assert report["fitted"]["steps"] == 20
    assert 0 < report["unigram_entropy"] < 6
    (merged,) = (tmp_path / "store" / "stages" / "pretrain-1-merge").iterdir()
    whole = transformers.AutoModelForMaskedLM.from_pretrained(merged)
    assert type(whole).__name__ == "BertForMaskedLM"
    name = "embeddings.word_embeddings.weight"
    start, end = (load_file(folder / "model.safetensors") for folder in (merged, built.folder / "checkpoint"))
    first = load_file(tmp_path / "backbone" / "model.safetensors")[name]
    far, near = ((end[name] - other).abs().mean() for other in (first, start[f"bert.{name}"]))
    assert far > 10 * near, "a few steps of the supervised stage move little from where the first one left"
    assert not graftc.build(spec, tmp_path / "bundle", tmp_path / "store").ran, "a second build does nothing"
    other = graftc.build(spec, tmp_path / "bundle", tmp_path / "store", ["train.max_steps=5"])
    assert "train" in other.ran
    assert not [stage for stage in other.ran if stage.startswith("pretrain")]


def test_the_next_word_is_learned_by_an_adapter_that_is_merged(tmp_path: Path) -> None:
    stage = {"objective": "causal-language-modeling", "adapt": {"method": "lora"}}
    spec = written(tmp_path, "gpt2", stage, transformers.AutoModelForCausalLM, retain={"data": "held.jsonl"})
    built = graftc.build(spec, tmp_path / "bundle", tmp_path / "store")
    (report,) = manifest(built.folder)["pretrain"]
    assert report["after"]["loss"] < report["before"]["loss"]
    kept = manifest(built.folder)["retain"]
    assert kept["objective"] == "causal-language-modeling"
    assert kept["before"]["loss"] == pytest.approx(report["before"]["loss"], rel=0.05), "the same text in longer blocks"
    assert kept["after"]["loss"] != kept["before"]["loss"]
    card = (built.folder / "README.md").read_text(encoding="utf-8")
    assert f"{kept['after']['loss']:.4f} after" in card


def test_the_memory_of_a_plan_is_that_of_its_largest_phase(tmp_path: Path) -> None:
    """A probe whose features are kept needs little; all of the backbone learned before it, in larger batches."""
    stage = {"objective": "contrastive", "train": {"epochs": 1, "batch_size": 8}}
    path = written(tmp_path, "bert", stage, transformers.AutoModel, adapt={"method": "probe"})
    small, text = graftc.plan(path).estimates, path.read_text()
    path.write_text(text.replace("batch_size: 8", "batch_size: 32"))
    large = graftc.plan(path)
    path.write_text(re.sub(r"pretrain:\n(- .*\n|  .*\n)+", "", text))
    alone = graftc.plan(path).estimates
    assert alone.memory_bytes < small.memory_bytes < large.estimates.memory_bytes
    assert large.estimates.memory_bytes > 16 * large.pretrain[0].trainable
    assert (alone.parameters, alone.trainable) == (small.parameters, small.trainable)
    assert "memory for tensors, beside that of the libraries;" in show(large)


def test_an_adapter_brings_the_backbone_that_stages_made(tmp_path: Path) -> None:
    stage = {"objective": "masked-language-modeling"}
    spec = written(tmp_path, "bert", stage, transformers.AutoModelForMaskedLM, adapt={"method": "lora"})
    bundle = graftc.build(spec, tmp_path / "bundle", tmp_path / "store").folder
    checkpoint = bundle / "checkpoint"
    model = transformers.AutoModel.from_pretrained(checkpoint / "backbone")
    loaded = peft.PeftModel.from_pretrained(model, checkpoint).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoint)
    with torch.no_grad():
        state = loaded(**tokenizer("The central bank", return_tensors="pt")).last_hidden_state.mean(1)
    head = load_file(checkpoint / "head.safetensors")
    (weight,), (bias,) = ([head[name] for name in head if name.endswith(end)] for end in ("weight", "bias"))
    chances = torch.softmax(state @ torch.as_tensor(weight).T + torch.as_tensor(bias), -1)[0]
    answers = graftc.load(bundle).predict("The central bank", top_k=2)
    assert [a.score for a in answers] == pytest.approx(sorted(chances.tolist(), reverse=True), abs=1e-5)
    config = json.loads((checkpoint / "adapter_config.json").read_bytes())
    assert config["base_model_name_or_path"] == "checkpoint/backbone"


@pytest.mark.parametrize("stage", [{"objective": "contrastive"}, {"objective": "sentence-order"}])
def test_other_objectives_learn_and_hand_the_backbone_on(stage: dict[str, Any], tmp_path: Path) -> None:
    spec = written(tmp_path, "roberta", {**stage, "freeze": ["embeddings"]}, transformers.AutoModelForMaskedLM)
    built = graftc.build(spec, tmp_path / "bundle", tmp_path / "store")
    (report,) = manifest(built.folder)["pretrain"]
    assert {"before", "after"} <= report.keys()
    (losses,) = (tmp_path / "store" / "stages" / "pretrain-1").glob("*/losses.npy")
    assert np.load(losses)[-5:].mean() < np.load(losses)[:5].mean()
    (merged,) = (tmp_path / "store" / "stages" / "pretrain-1-merge").iterdir()
    names = load_file(merged / "model.safetensors")
    assert "lm_head.dense.weight" in names, "the head of the language model is still there for what may want it"
    before = load_file(tmp_path / "backbone" / "model.safetensors")["roberta.embeddings.word_embeddings.weight"]
    assert (names["roberta.embeddings.word_embeddings.weight"] == before).all(), "what is frozen stays to the bit"


def test_what_is_retained_leaves_room_for_virtual_tokens(tmp_path: Path) -> None:
    tiny.save("gpt2", tmp_path / "backbone", transformers.AutoModelForCausalLM)
    building.write_rows(tmp_path / "held.jsonl", [{"text": text} for text in TEXTS[:50]])
    building.write_rows(tmp_path / "train.jsonl", [{"text": t, "label": "ab"[i % 2]} for i, t in enumerate(TEXTS[:24])])
    sections: dict[str, Any] = {"adapt": {"method": "prompt", "tokens": 10}, "retain": {"data": "held.jsonl"}}
    data = {"train": "train.jsonl", "max_length": 32}
    bundle = building.bundle(tmp_path, "gpt2", {"type": "text-classification"}, data, **sections)
    plan = json.loads((bundle / "plan.json").read_bytes())
    assert plan["retain"]["tasks"][0]["data"]["preprocessing"]["max_length"] == 64 - 10
    assert manifest(bundle)["retain"]["after"]["loss"] > 0


def test_a_stage_may_be_the_product(tmp_path: Path) -> None:
    stage = {"objective": "masked-language-modeling", "whole_word": True}
    spec = written(tmp_path, "distilbert", stage, head={"type": "fill-mask"})
    built = graftc.build(spec, tmp_path / "bundle", tmp_path / "store")
    model = graftc.load(built.folder)
    (one, other) = model.predict("A man is [MASK] a guitar.", top_k=2)
    assert one.score >= other.score > 0
    assert one.sequence.count(one.token_str.removeprefix("##"))
    assert model.predict(["nothing is hidden", "[MASK] and [MASK]"], top_k=1)[0] == ()
    assert len(model.predict("[MASK] and [MASK]", top_k=3)) == 6
    assert 'predict("some [MASK] text")' in (built.folder / "README.md").read_text(encoding="utf-8")
    (answers,) = building.script(built.folder, "A man is [MASK] a guitar.")
    assert [answer["token"] for answer in answers][:2] == [one.token, other.token]


def test_a_lock_holds_the_text_of_stages_and_plans_without_it(tmp_path: Path) -> None:
    stage = {"objective": "causal-language-modeling"}
    spec = written(tmp_path, "gpt2", stage, transformers.AutoModelForCausalLM, retain={"data": "held.jsonl"})
    source = read(spec)
    locked = lock_source(source).lock
    (tmp_path / "spec.lock.yaml").write_text(locked.text("spec.yaml"), encoding="utf-8")
    planned, found = check(source, CheckOptions(is_locked=True))
    assert planned
    assert not [d for d in found if d.is_error]
    building.write_rows(tmp_path / "corpus.jsonl", [{"text": text} for text in TEXTS[:99]])
    codes = [d.code for d in check(source, CheckOptions(is_locked=True))[1] if d.is_error]
    assert codes == ["E0345"]
    (tmp_path / "corpus.jsonl").unlink()
    (tmp_path / "held.jsonl").unlink()
    again, found = check(source, CheckOptions(has_data=False))
    assert again, found
    assert again.sha256 == locked.plan


def test_another_text_of_a_stage_retrains_it_and_what_follows(tmp_path: Path) -> None:
    spec = written(tmp_path, "bert", {"objective": "masked-language-modeling"})
    old = of_spec("old", read(spec), graftc.plan(spec))
    building.write_rows(tmp_path / "corpus.jsonl", [{"text": text} for text in TEXTS[:90]])
    stages = compare_stages(old, of_spec("new", read(spec), graftc.plan(spec)))
    runs = {run.stage for run in stages.runs}
    assert stages.retrains
    assert {"pretrain-1-prepare-train", "pretrain-1-head", "pretrain-1", "pretrain-1-merge", "train"} <= runs
    assert not {"prepare-train", "rehearse", "pretrain-1-prepare-test"} & runs


def test_features_are_the_backbones_own(tmp_path: Path) -> None:
    building.write_rows(tmp_path / "train.jsonl", [{"text": text} for text in TEXTS[:6]])
    out = building.bundle(tmp_path, "bert", {"type": "feature-extraction"}, {"train": "train.jsonl"}, train={})
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "backbone")
    module = tiny.model("bert")
    states = module(**tokenizer(TEXTS[0], return_tensors="pt")).last_hidden_state
    found = graftc.load(out).predict(TEXTS[0]).features
    assert np.allclose(found, states.mean(1).detach().numpy()[0], atol=1e-5)
    assert manifest(out)["training"]["steps"] == 0


def test_training_rows_are_prepared_unmasked(tmp_path: Path) -> None:
    """Every step masks them anew, where rows that are scored are masked once and for all."""
    tiny.save("bert", tmp_path / "backbone", transformers.AutoModelForMaskedLM)
    building.write_rows(tmp_path / "train.jsonl", [{"text": text} for text in TEXTS])
    data = {"train": "train.jsonl", "validation": {"fraction": 0.2}}
    spec = building.written(tmp_path, "bert", {"type": "fill-mask"}, data, train={"max_steps": 1})
    train, validation = (
        Prepared(running.trained(spec, tmp_path / "store", f"prepare-{split}")[2]) for split in ("train", "validation")
    )
    mask = transformers.AutoTokenizer.from_pretrained(tmp_path / "backbone").mask_token_id
    assert not any(mask in train.row(i)["input_ids"] for i in range(train.rows))
    assert all(mask in validation.row(i)["input_ids"] for i in range(validation.rows))


def test_texts_without_a_word_are_learned_from(tmp_path: Path) -> None:
    """What the tokenizer throws away leaves nothing to mask, and may be all of a batch."""
    stage = {"objective": "masked-language-modeling", "train": {"max_steps": 6, "batch_size": 1}}
    spec = written(tmp_path, "bert", stage, transformers.AutoModelForMaskedLM)
    building.write_rows(tmp_path / "corpus.jsonl", [{"text": text} for text in ("\u200b", "\u200c", TEXTS[0])])
    graftc.build(spec, tmp_path / "bundle", tmp_path / "store")
    (losses,) = (tmp_path / "store" / "stages" / "pretrain-1").glob("*/losses.npy")
    assert (np.load(losses) == 0).sum() == 4


def test_a_stage_that_was_stopped_goes_on_to_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the fitting of its head and in the stage itself: the bundle is the undisturbed one, to the byte."""
    stage = {"objective": "masked-language-modeling", "head_steps": 5, "train": {"max_steps": 8, "batch_size": 32}}
    spec = written(tmp_path, "bert", stage, train={"max_steps": 2, "batch_size": 8})
    whole = graftc.build(spec, tmp_path / "whole", tmp_path / "whole-store").folder
    save, saves = Training.save, []

    def stopped(self: Training) -> None:
        save(self)
        saves.append((self.plan.train.steps, self.step))
        if saves[-1] in ((5, 3), (8, 2), (8, 7)):
            raise KeyboardInterrupt

    monkeypatch.setattr(Training, "save", stopped)
    monkeypatch.setattr("graftc.compiler.execution.saves.EVERY", 0.0)
    monkeypatch.setattr("graftc.compiler.execution.saves.SHARE", 0.0)
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            graftc.build(spec, tmp_path / "bundle", tmp_path / "store")
    again = graftc.build(spec, tmp_path / "bundle", tmp_path / "store").folder
    # after the last step come the results themselves
    assert saves == [(5, i) for i in range(1, 5)] + [(8, i) for i in range(1, 8)] + [(2, 1)], "each step once"
    files = sorted(path.relative_to(whole) for path in whole.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(again) for path in again.rglob("*") if path.is_file())
    assert [name for name in files if (whole / name).read_bytes() != (again / name).read_bytes()] == []
