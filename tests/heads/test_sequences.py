"""summarization and translation: what transformers' `generate` writes, what is learned, scored and refused."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import peft
import pytest
import sacrebleu
import torch
import transformers
from rouge_score.rouge_scorer import RougeScorer

from graftc.compiler.diagnostics import At
from graftc.compiler.metrics.summarization import scores as rouge
from graftc.compiler.metrics.translation import scores as bleu
from graftc.compiler.model.assembly import assemble
from graftc.runtime.errors import BundleError
from graftc.runtime.generation import generate, options_of
from graftc.runtime.generation.encoded import EncodedSteps
from graftc.runtime.model import HeadRun, Model
from graftc.runtime.prompts import Written
from graftc.runtime.verify import verify

from ..backbones import tiny
from ..train import plain, running
from . import building

WORDS = ["parcel", "order", "box", "account", "guitar", "stage", "rain", "train", "north", "city", "month"]
EQUAL = {"num_decoder_layers": 2}  # `generate` of transformers makes caches as deep as the encoder of T5
FAMILIES = ("t5", "bart", "marian", "m2m-100")
COUNT = 48


def backbone(word: str, folder: Path) -> None:
    """A tiny encoder-decoder with its language model."""
    tiny.save(word, folder, transformers.AutoModelForSeq2SeqLM, **(EQUAL if word == "t5" else {}))


def rows(count: int, seed: int = 0) -> list[dict[str, Any]]:
    draw = random.Random(seed)
    texts = [draw.sample(WORDS, draw.randint(1, 8)) for _ in range(count)]
    return [{"source": " ".join(words), "target": " ".join(reversed(words[:4]))} for words in texts]


def spec(folder: Path, word: str, head: dict[str, Any], **sections: Any) -> Path:
    if not (folder / "backbone").exists():
        backbone(word, folder / "backbone")
    for name, (count, seed) in {"train": (32, 0), "validation": (8, 1), "test": (8, 2)}.items():
        building.write_rows(folder / f"{name}.jsonl", rows(count, seed))
    data = {**{name: f"{name}.jsonl" for name in ("train", "validation", "test")}, "max_length": 48}
    given = {"generation": {"max_new_tokens": 12}, **head}
    return building.written(folder, word, given, {**data, **sections.pop("data", {})}, **sections)


@pytest.fixture(scope="module", params=FAMILIES)
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A bundle, and transformers' model with the same weights."""
    word = request.param
    folder = tmp_path_factory.mktemp(word)
    method = "lora" if word == "bart" else "full"
    both = {"precision": ["fp32", "int8"], "gate": {"metric_drop": 1.0}}
    path = spec(folder, word, {"type": "translation"}, adapt={"method": method}, export=both)
    bundle = building.built(path)
    if method == "lora":
        model: Any = transformers.AutoModelForSeq2SeqLM.from_pretrained(folder / "backbone")
        found: Any = peft.PeftModel.from_pretrained(model.base_model, str(bundle / "checkpoint"))
        found.merge_and_unload()
    else:
        model = transformers.AutoModelForSeq2SeqLM.from_pretrained(bundle / "checkpoint")
    return bundle, model.eval()


def sources() -> list[str]:
    draw = random.Random(5)
    return [" ".join(draw.choices(WORDS, k=draw.randint(1, 14))) for _ in range(8)]


@pytest.mark.parametrize("beams", [1, 4])
def test_a_bundle_writes_what_transformers_generate_writes(built: tuple[Path, Any], beams: int) -> None:
    """All sources in one batch, padded on the right."""
    bundle, theirs = built
    model = Model(bundle)
    rows, head = model.rows(sources()), model.heads[""]
    batch = model.preprocessor.collate(rows.features)
    prompts = [head["start_ids"]] * len(rows.features)
    options = {"max_new_tokens": 60, "beams": beams, "stop_tokens": tuple(head["stop_ids"])}
    ours = generate(EncodedSteps(HeadRun(model, "", {}), batch), prompts, options_of({}, options))
    with torch.inference_mode():
        found = theirs.generate(
            **{name: torch.from_numpy(batch[name]) for name in ("input_ids", "attention_mask")},
            decoder_input_ids=torch.tensor(prompts), decoder_start_token_id=prompts[0][0], num_beams=beams,
            max_new_tokens=60, do_sample=False, eos_token_id=head["stop_ids"], pad_token_id=head["pad_id"],
            forced_bos_token_id=None, forced_eos_token_id=None, suppress_tokens=None, bad_words_ids=None,
        )  # fmt: skip
    for row, (answer,) in zip(found.tolist(), ours, strict=True):
        assert list(answer.tokens) == row[len(prompts[0]) :][: len(answer.tokens)]
    assert len({answer.tokens for (answer,) in ours}) > 1  # sources are told apart


def test_a_bundle_answers_alone_as_in_a_list_and_streams_its_text(built: tuple[Path, Any]) -> None:
    bundle, _ = built
    model = Model(bundle)
    together = model.predict(sources())
    assert [answer.translation_text for answer in together] == [
        model.predict(source).translation_text for source in sources()
    ]
    assert "".join(model.stream(sources()[0])) == together[0].translation_text
    assert all(answer.finish_reason in ("length", "eos_token") and answer.score < 0 for answer in together)


def test_draws_depend_on_the_source(built: tuple[Path, Any]) -> None:
    bundle, _ = built
    model = Model(bundle)
    found = model.predict(sources(), temperature=5.0, top_k=0, seed=3)
    assert found == model.predict(sources(), temperature=5.0, top_k=0, seed=3)
    assert len({answer.translation_text[:6] for answer in found}) > 4
    several = model.predict(sources()[0], temperature=5.0, sequences=3, seed=3)
    assert len({answer.translation_text for answer in several}) == 3


def test_the_two_graphs_pass_their_gates_and_bundles_verify(built: tuple[Path, Any]) -> None:
    bundle, _ = built
    manifest = json.loads((bundle / "manifest.json").read_bytes())
    assert manifest["passes"] == ["encoder", "decoder"]
    assert {path.name for path in bundle.glob("*.onnx")} == {
        f"{graph}{suffix}.onnx" for graph in ("encoder", "decoder") for suffix in ("", ".int8")
    }
    assert manifest["gates"]["parity"]["worst"] < 1e-4
    for runner in ("fp32", "torch"):
        assert manifest["metrics"]["test"][runner]["bleu"] == pytest.approx(
            manifest["metrics"]["test"]["torch"]["bleu"], abs=0.1
        )
    assert manifest["metrics"]["test"]["int8"]["bleu_signature"].startswith("nrefs:1|case:mixed")
    assert verify(bundle)
    names = {tensor.name for tensor in onnx.load(str(bundle / "decoder.onnx")).graph.initializer}
    assert not any("encoder.layers" in name or "encoder.block" in name for name in names)


@pytest.mark.parametrize("method", ["full", "lora"])
@pytest.mark.parametrize("word", ["t5", "bart"])
def test_each_step_loses_what_a_plain_script_loses(word: str, method: str, tmp_path: Path) -> None:
    """Words, targets and losses are made by transformers' own tokenizer and model."""
    off = {"dropout_rate": 0.0} if word == "t5" else {"dropout": 0.0, "attention_dropout": 0.0}
    tiny.save(word, tmp_path / "tiny", transformers.AutoModelForSeq2SeqLM, **off)
    given = rows(COUNT)
    building.write_rows(tmp_path / "train.jsonl", given)
    adapt = {"method": method, **({"dropout": 0.0} if method == "lora" else {})}
    rate = 1e-3 if method == "full" else 1e-2
    data = {"train": "train.jsonl", "max_length": 64}
    path = plain.spec(tmp_path, tmp_path / "tiny", adapt, "summarization", data, rate)
    plan, _, out = running.trained(path, tmp_path / "store")
    model: Any = transformers.AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "tiny")
    if method == "lora":
        targets = ["q", "v"] if word == "t5" else ["q_proj", "v_proj"]
        config = peft.LoraConfig(r=8, lora_alpha=16, lora_dropout=0.0, target_modules=targets)
        model = peft.get_peft_model(model, config)
        ours = assemble(plan, tmp_path / "tiny")
        own = peft.get_peft_model_state_dict(ours.backbone)
        prefix = "base_model.model.model." if word == "bart" else "base_model.model."
        peft.set_peft_model_state_dict(model, {n.replace("base_model.model.", prefix): t for n, t in own.items()})
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "tiny")

    def loss_of(model: Any, chosen: np.ndarray) -> torch.Tensor:
        inputs = tokenizer([given[i]["source"] for i in chosen], padding=True, return_tensors="pt")
        labels = tokenizer(text_target=[given[i]["target"] for i in chosen], padding=True, return_tensors="pt")
        ids = labels["input_ids"].masked_fill(labels["attention_mask"] == 0, -100)
        return model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"], labels=ids).loss

    theirs = plain.optimise(model, plain.order(COUNT), loss_of, rate)
    plain.assert_equal_losses(np.load(out / "losses.npy"), theirs)


def test_texts_are_scored_as_the_libraries_score_them() -> None:
    texts, references = ["the cats sat on a mat", "rain"], [["a cat sat on the mat"], ["no rain today", "it rains"]]
    scorer = RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=True)
    best = [scorer.score_multi(own, text) for text, own in zip(texts, references, strict=True)]
    for ours, theirs in (("rouge_1", "rouge1"), ("rouge_2", "rouge2"), ("rouge_l", "rougeL")):
        assert rouge(texts, references)[ours] == pytest.approx(np.mean([row[theirs].fmeasure for row in best]))
    pairs = [["a cat sat on the mat", "no rain today"], ["a cat sat on the mat", "it rains"]]
    assert bleu(texts, references)["bleu"] == pytest.approx(sacrebleu.corpus_bleu(texts, pairs).score)
    assert bleu(texts, references)["chrf"] == pytest.approx(sacrebleu.corpus_chrf(texts, pairs).score)


def test_several_references_count_in_scores_and_the_first_is_learned(tmp_path: Path) -> None:
    path = spec(tmp_path, "t5", {"type": "summarization"}, train={"max_steps": 1, "batch_size": 8})
    several = [{**row, "target": [row["target"], row["source"]]} for row in rows(8, 2)]
    building.write_rows(tmp_path / "test.jsonl", several)
    manifest = json.loads((building.built(path) / "manifest.json").read_bytes())
    one = [row["source"] for row in rows(8, 2)]  # a floor that gives the source has a reference that equals it
    assert manifest["floors"]["test"]["first sentence"]["rouge_l"] == 1.0
    assert manifest["floors"]["validation"]["first sentence"]["rouge_l"] < 1.0
    assert one


def test_a_score_of_texts_may_pick_the_epoch(tmp_path: Path) -> None:
    train = {"epochs": 2, "batch_size": 8, "metric": "chrf", "learning_rate": 1e-3}
    bundle = building.built(spec(tmp_path, "bart", {"type": "translation"}, train=train))
    manifest = json.loads((bundle / "manifest.json").read_bytes())
    assert {"chrf", "bleu"} <= manifest["metrics"]["validation"]["fp32"].keys()
    assert manifest["gates"]["metric"]["fp32"]["drop"] == pytest.approx(0, abs=1e-3)
    assert [set(epoch) >= {"chrf"} for epoch in manifest["training"]["epochs"]] == [True, True]


def test_a_prefix_stands_before_every_source(tmp_path: Path) -> None:
    path = spec(tmp_path, "t5", {"type": "summarization", "prefix": "rain train: "})
    model = Model(building.built(path))
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "backbone")
    assert model.rows(["north"]).features[0]["input_ids"].tolist() == tokenizer("rain train: north")["input_ids"]


@pytest.mark.parametrize("word", ["t5", "bart"])
def test_rows_are_what_transformers_makes_of_them(word: str, tmp_path: Path) -> None:
    path = spec(tmp_path, word, {"type": "summarization"}, data={"max_length": 6, "max_target_length": 5})
    model = Model(building.built(path))
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "backbone")
    source, target = "parcel order box account", "rain train north city"
    row = model.rows([Written(source, target)]).features[0]
    assert row["input_ids"].tolist() == tokenizer(source, truncation=True, max_length=6)["input_ids"]
    labels = tokenizer(text_target=target, truncation=True, max_length=5)["input_ids"]
    assert row["labels"].tolist() == labels
    whole = transformers.AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "backbone")
    shifted = whole.prepare_decoder_input_ids_from_labels(labels=torch.tensor([labels]))
    assert row["decoder_input_ids"].tolist() == shifted[0].tolist()


def test_a_special_token_in_a_source_is_read_as_words(tmp_path: Path) -> None:
    model = Model(building.built(spec(tmp_path, "bart", {"type": "summarization"})))
    ids = model.rows(["rain</s>train"]).features[0]["input_ids"].tolist()
    assert ids.count(2) == 1
    assert ids[-1] == 2


def multilingual(folder: Path, tokenizer_class: str) -> Any:
    """A tiny mBART whose tokenizer has two languages."""
    word = "mbart" if tokenizer_class == "MBartTokenizer" else "m2m-100"
    tiny.save(word, folder, transformers.AutoModelForSeq2SeqLM)
    known = transformers.AutoTokenizer.from_pretrained(folder)
    known.add_tokens(["en_XX", "de_DE"], special_tokens=True)
    known.save_pretrained(folder)
    model: Any = transformers.AutoModelForSeq2SeqLM.from_pretrained(folder)
    model.resize_token_embeddings(len(known), mean_resizing=False)
    model.save_pretrained(folder)
    told = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**told, "tokenizer_class": tokenizer_class}))
    return known


@pytest.mark.parametrize(
    ("kind", "source", "labels", "decoder"),
    [
        ("MBartTokenizer", "W </s> en_XX", "V </s> de_DE", "de_DE V </s>"),
        ("NllbTokenizer", "en_XX W </s>", "de_DE V </s>", "</s> de_DE V"),
    ],
)
def test_languages_stand_where_their_models_learned_them(
    kind: str, source: str, labels: str, decoder: str, tmp_path: Path
) -> None:
    """As transformers' MBartTokenizer and NllbTokenizer say, and as their models shift targets."""
    known = multilingual(tmp_path / "backbone", kind)
    head = {"type": "translation", "languages": {"source": "en_XX", "target": "de_DE"}}
    path = spec(tmp_path, "mbart", head)
    model = Model(building.built(path))
    words = {
        "W": known("rain", add_special_tokens=False)["input_ids"],
        "V": known("box", add_special_tokens=False)["input_ids"],
    }

    def ids(text: str) -> list[int]:
        return [n for each in text.split() for n in words.get(each, [known.convert_tokens_to_ids(each)])]

    row = model.rows([Written("rain", "box")]).features[0]
    found = {name: row[name].tolist() for name in ("input_ids", "labels", "decoder_input_ids")}
    assert found == {"input_ids": ids(source), "labels": ids(labels), "decoder_input_ids": ids(decoder)}
    start = model.heads[""]["start_ids"]
    assert start == found["decoder_input_ids"][: len(start)]
    assert start[-1] == known.convert_tokens_to_ids("de_DE")


@pytest.mark.parametrize(
    ("kind", "languages", "said"),
    [
        ("MBartTokenizer", None, "between languages, and none are named"),
        ("MBartTokenizer", {"source": "en_XX", "target": "de_DX"}, "no language `de_DX`"),
        (None, {"source": "en_XX", "target": "de_DE"}, "knows no languages"),
    ],
)
def test_languages_that_do_not_fit_are_refused(
    kind: str | None, languages: dict[str, str] | None, said: str, tmp_path: Path
) -> None:
    if kind:
        multilingual(tmp_path / "backbone", kind)
    head = {"type": "translation", **({"languages": languages} if languages else {})}
    (found,) = [each for each in building.found(spec(tmp_path, "t5", head)) if each.is_error]
    assert found.code == "E0322"
    assert said in found.headline


def test_a_backbone_that_names_no_first_token_is_refused(tmp_path: Path) -> None:
    path = spec(tmp_path, "t5", {"type": "translation"})
    for name in ("config.json", "generation_config.json"):
        told = json.loads((tmp_path / "backbone" / name).read_text())
        told.pop("decoder_start_token_id", None)
        (tmp_path / "backbone" / name).write_text(json.dumps(told))
    (found,) = [each for each in building.found(path) if each.is_error]
    assert (found.code, found.headline) == ("E0398", "the backbone names no token that begins a text")


@pytest.mark.parametrize(("cell", "said"), [([], "holds no reference"), ([""], "not a text"), ([1], "not a text")])
def test_references_that_are_none_are_refused(cell: Any, said: str, tmp_path: Path) -> None:
    path = spec(tmp_path, "t5", {"type": "translation"})
    building.write_rows(tmp_path / "test.jsonl", [{**rows(1)[0], "target": cell}, *rows(3)])
    assert any(said in f"{found.headline} {found.notes}" for found in building.found(path))


def test_targets_that_are_cut_are_told(tmp_path: Path) -> None:
    path = spec(tmp_path, "t5", {"type": "translation"}, data={"max_target_length": 4})
    found = [each for each in building.found(path) if each.code == "W0315"]
    assert ["max_target_length" in each.headline for each in found] == [True]


@pytest.mark.parametrize(
    ("word", "head"), [("t5", "text-classification"), ("t5", "text-generation"), ("gpt2", "translation")]
)
def test_a_head_on_a_backbone_of_another_kind_is_refused(word: str, head: str, tmp_path: Path) -> None:
    tiny.save(word, tmp_path / "backbone")
    columns = {"translation": ("source", "target"), "text-classification": ("text", "label")}.get(head, ("text",))
    building.write_rows(tmp_path / "rows.jsonl", [dict.fromkeys(columns, f"rain {i % 2}") for i in range(8)])
    path = building.written(tmp_path, word, {"type": head}, {"train": "rows.jsonl"})
    assert "E0391" in {each.code for each in building.found(path)}


@pytest.mark.parametrize(
    ("generation", "key"),
    [
        ({"beams": 4, "temperature": 0.7}, "temperature"),
        ({"beams": 4, "top_p": 0.9}, "top_p"),
        ({"max_new_tokens": 8, "min_new_tokens": 9}, "min_new_tokens"),
        ({"min_new_tokens": 200}, "min_new_tokens"),
    ],
    ids=str,
)
def test_ways_of_writing_that_exclude_each_other_are_refused(
    generation: dict[str, Any], key: str, tmp_path: Path
) -> None:
    path = spec(tmp_path, "t5", {"type": "translation", "generation": generation})
    (found,) = [each for each in building.found(path) if each.is_error]
    assert (found.code, found.at) == ("E0209", At(("head", "generation", key)))
    assert {at.path[-1] for at in found.also} == {*generation} - {key}


def test_a_bundle_has_its_own_way_of_writing_and_calls_go_with_it(tmp_path: Path) -> None:
    """More tokens at least than a trial of its graphs has, and texts of beams that a call may ask for."""
    generation = {"max_new_tokens": 60, "min_new_tokens": 40, "beams": 4}
    model = Model(building.built(spec(tmp_path, "t5", {"type": "translation", "generation": generation})))
    assert len(model.predict("parcel order", sequences=2)) == 2
    with pytest.raises(BundleError, match="`max_new_tokens` 20"):
        model.predict("parcel order", max_new_tokens=20)


def test_rows_of_a_file_are_asked_without_their_targets(tmp_path: Path) -> None:
    bundle = building.built(spec(tmp_path, "t5", {"type": "translation"}))
    asked = [row["source"] for row in rows(8, 2)]
    command = [sys.executable, "-m", "graftc", "predict", str(bundle), "--input", str(tmp_path / "test.jsonl")]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    answers = [json.loads(line)["translation_text"] for line in ran.stdout.splitlines()]
    assert answers == [answer.translation_text for answer in Model(bundle).predict(asked)]


def test_a_backbone_of_another_kind_is_told_once(tmp_path: Path) -> None:
    """Not that it names no first token of a text, which no way of naming would mend."""
    tiny.save("llama", tmp_path / "backbone")
    building.write_rows(tmp_path / "rows.jsonl", rows(8))
    path = building.written(tmp_path, "llama", {"type": "translation"}, {"train": "rows.jsonl"})
    assert [each.code for each in building.found(path) if each.is_error] == ["E0391"]
