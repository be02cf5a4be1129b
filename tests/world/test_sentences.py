"""What a sentence-transformers folder says is what its backbone does: pooling, length and normalisation."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

import graftc
from graftc.compiler.diagnostics import Refused
from graftc.compiler.facts.sentence_transformers import Sentences, read_sentences
from graftc.compiler.sources import SENTENCES
from graftc.runtime.model import Model

from ..backbones import tiny
from ..front.cli import Command
from ..front.conftest import graftc as graftc_command
from ..heads import building
from ..train import running

__all__ = ["graftc_command"]
TEXTS = ["the parcel arrived late", "the film is warm and funny " * 12, "a dull book"]
OLD = {"cls": "cls_token", "mean": "mean_tokens", "max": "max_tokens", "lasttoken": "lasttoken"}


def lay(folder: Path, pooling: Any, *more: str, length: Any = 64, is_old: bool = False) -> None:
    """Writes what sentence-transformers keeps beside a backbone, as it does today or did before its version 6."""
    kinds = ["Transformer", "Pooling", *more]
    modules = [
        {"idx": i, "name": str(i), "path": f"{i}_{kind}" if i else "", "type": f"sentence_transformers.models.{kind}"}
        for i, kind in enumerate(kinds)
    ]
    old = {f"pooling_mode_{key}": mode == pooling for mode, key in OLD.items()}
    pooled = {"word_embedding_dimension": 32, **(old if is_old else {"pooling_mode": pooling})}
    (folder / "1_Pooling").mkdir(parents=True, exist_ok=True)
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooled))
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": length, "do_lower_case": False}))


def spec(folder: Path, head: Mapping[str, Any], rows: Iterable[Mapping[str, Any]] = (), **sections: Any) -> Path:
    """A spec on the folder's backbone."""
    given = rows or [{"text": f"{text} {i}", "label": "ab"[i % 2]} for i in range(12) for text in TEXTS]
    building.write_rows(folder / "rows.jsonl", given)
    data = {"train": "rows.jsonl", **sections.pop("data", {})}
    return running.write_spec(folder, backbone={"from": "./backbone"}, head=dict(head), data=data, **sections)


def codes(path: Path) -> set[str]:
    return {found.code for found in building.found(path)}


def planned(path: Path, *sets: str) -> Any:
    return graftc.plan(path, sets=list(sets)) if sets else graftc.plan(path)


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("backbone") / "bert"
    tiny.save("bert", folder)
    return folder


@pytest.fixture
def place(tmp_path: Path, backbone: Path) -> Path:
    shutil.copytree(backbone, tmp_path / "backbone")
    return tmp_path


@pytest.mark.parametrize(
    ("mode", "ours", "family", "is_old", "more"),
    [
        ("cls", "cls", "bert", True, ("Normalize",)),
        ("mean", "mean", "bert", False, ("Normalize",)),
        ("max", "max", "distilbert", True, ()),
        ("lasttoken", "last", "qwen2", False, ("Normalize",)),
        ("mean", "mean", "gpt2", False, ()),
    ],
)
def test_vectors_are_the_folder_s_own(
    tmp_path: Path, mode: str, ours: str, family: str, is_old: bool, more: tuple[str, ...]
) -> None:
    """Against sentence-transformers, and a reading of the folder by hand."""
    from sentence_transformers import SentenceTransformer

    tiny.save(family, tmp_path / "backbone")
    lay(tmp_path / "backbone", mode, *more, length=24, is_old=is_old)
    path = spec(tmp_path, {"type": "feature-extraction"}, adapt={"method": "probe"})
    plan = planned(path)
    assert plan.tasks[0].head.pooling == ours
    assert plan.reading.preprocessing["max_length"] == 24
    model = Model(building.built(path))
    found = np.array([answer.features for answer in model.predict(TEXTS)])
    assert found == pytest.approx(_by_hand(tmp_path / "backbone", mode, bool(more)), abs=1e-5)
    theirs = SentenceTransformer(str(tmp_path / "backbone"), device="cpu")
    theirs.tokenizer.padding_side = "right"
    if theirs.tokenizer.pad_token is None:
        theirs.tokenizer.pad_token = theirs.tokenizer.eos_token
    assert found == pytest.approx(theirs.encode(TEXTS), abs=1e-5)


def _by_hand(folder: Path, mode: str, is_normalized: bool) -> np.ndarray:
    """Each text for itself, so that nothing is padded."""
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder).eval()
    ways = {"cls": lambda s: s[0], "mean": lambda s: s.mean(0), "max": lambda s: s.max(0), "lasttoken": lambda s: s[-1]}
    found = []
    for text in TEXTS:
        given = tokenizer(text, return_tensors="pt", truncation=True, max_length=24)
        with torch.no_grad():
            states = model(**given).last_hidden_state[0].numpy()
        vector = ways[mode](states)
        found.append(vector / np.linalg.norm(vector) if is_normalized else vector)
    return np.array(found)


@pytest.mark.parametrize(
    ("head", "row"),
    [
        ({"type": "text-classification"}, {"label": "a"}),
        ({"type": "text-regression"}, {"score": 1.0}),
        ({"type": "text-ranking"}, {"text_pair": "a text", "score": 1.0}),
        ({"type": "sentence-similarity"}, {"text_pair": "a text", "score": 1.0}),
        ({"type": "feature-extraction"}, {}),
    ],
    ids=lambda value: value.get("type", "") if isinstance(value, dict) else "",
)
def test_every_pooled_head_has_the_folder_s_defaults_and_why_names_the_files(
    place: Path, graftc_command: Command, monkeypatch: pytest.MonkeyPatch, head: dict[str, Any], row: dict[str, Any]
) -> None:
    lay(place / "backbone", "cls", "Normalize", length=40)
    rows = [
        {"text": f"{text} {i}", **{k: ("ab"[i % 2] if k == "label" else i % 2 if k == "score" else v) for k, v in row.items()}}
        for i in range(8) for text in TEXTS
    ]  # fmt: skip
    method = {"adapt": {"method": "probe" if head["type"] == "feature-extraction" else "lora"}}
    path = spec(place, head, rows, **method)
    plan = planned(path)
    assert (plan.tasks[0].head.pooling, plan.reading.preprocessing["max_length"]) == ("cls", 40)
    assert not codes(path) & {"W0370", "W0371", "W0372"}
    monkeypatch.chdir(place)
    answer = graftc_command("plan", "spec.yaml", "--why", "head.pooling", "--why", "data.max_length")
    assert "1_Pooling/config.json" in answer.out
    assert "sentence_bert_config.json" in answer.out
    is_vector = head["type"] in ("sentence-similarity", "feature-extraction")
    assert ("`Normalize` in its modules.json is left out" in answer.out) != is_vector
    assert planned(path, "head.pooling=mean").tasks[0].head.pooling == "mean"
    assert planned(path, "data.max_length=16").reading.preprocessing["max_length"] == 16


def test_what_has_no_pooling_reads_as_before(place: Path) -> None:
    rows = [{"tokens": ["a", "film"], "tags": ["O", "B-X"]} for _ in range(8)]
    path = spec(place, {"type": "token-classification"}, rows)
    before = planned(path)
    lay(place / "backbone", "cls", length=32)
    assert planned(path).tasks[0].head == before.tasks[0].head
    assert planned(path).reading.preprocessing == before.reading.preprocessing


def test_the_length_ends_with_the_positions_and_heads_that_don_t_pool_keep_theirs(place: Path) -> None:
    lay(place / "backbone", "mean", length=512)  # of which the backbone has 64
    path = spec(place, {"type": "text-classification"})
    assert planned(path).reading.preprocessing["max_length"] == 64
    assert planned(path, "adapt={method: prompt, tokens: 4}").reading.preprocessing["max_length"] == 60
    lay(place / "backbone", "mean", length=None)
    assert planned(path).reading.preprocessing["max_length"] == 64


def test_a_stage_of_pretrain_has_them_too(place: Path) -> None:
    lay(place / "backbone", "cls", "Normalize", length=40)
    building.write_rows(place / "texts.jsonl", [{"text": text} for text in TEXTS * 4])
    stages = [
        {"objective": word, "adapt": {"method": "full"}, "data": {"train": "texts.jsonl"}, "train": {"max_steps": 1}}
        for word in ("contrastive", "masked-language-modeling")
    ]
    path = spec(place, {"type": "text-classification"}, pretrain=stages)
    contrastive, masked = planned(path).pretrain
    assert contrastive.tasks[0].head.pooling == "cls"
    assert contrastive.reading.preprocessing["max_length"] == 40
    assert masked.reading.preprocessing["max_length"] == 64


def test_heads_that_share_inputs_are_read_in_one_way(place: Path) -> None:
    """A head that reads each token keeps its length, and those beside it are read with it."""
    lay(place / "backbone", "cls", length=32)
    rows = [{"text": f"a film {i}", "label": "ab"[i % 2]} for i in range(24)]
    building.write_rows(place / "rows.jsonl", rows)
    heads = {"one": {"type": "text-classification"}, "two": {"type": "text-classification", "pooling": "max"}}
    path = running.write_spec(place, backbone={"from": "./backbone"}, heads=heads, data={"train": "rows.jsonl"})
    written = yaml.safe_load(path.read_text())
    written.pop("head", None)
    path.write_text(yaml.safe_dump(written))
    plan = planned(path)
    assert [task.head.pooling for task in plan.tasks] == ["cls", "max"]
    assert plan.reading.preprocessing["max_length"] == 32
    spans = [{"start": 2, "end": 6, "label": "X"}]
    building.write_rows(place / "rows.jsonl", [{**row, "spans": spans} for row in rows])
    heads["two"] = {"type": "token-classification"}
    path.write_text(yaml.safe_dump(written | {"heads": heads}))
    plan = planned(path)
    assert [task.head.pooling for task in plan.tasks] == ["cls", "none"]
    assert plan.reading.preprocessing["max_length"] == 64


@pytest.mark.parametrize(
    ("head", "data", "code"),
    [
        ({"pooling": "mean"}, {}, "W0370"),
        ({"normalize": False}, {}, "W0370"),
        ({}, {"max_length": 48}, "W0372"),
        ({"pooling": "cls", "normalize": True}, {"max_length": 40}, ""),
        ({"pooling": "none"}, {}, ""),
        ({}, {"max_length": 16}, ""),
    ],
)
def test_a_spec_that_says_otherwise_is_warned_where_the_answer_is_a_vector(
    place: Path, head: dict[str, Any], data: dict[str, Any], code: str
) -> None:
    lay(place / "backbone", "cls", "Normalize", length=40)
    path = spec(place, {"type": "feature-extraction", **head}, data=data, adapt={"method": "probe"})
    assert codes(path) & {"W0370", "W0371", "W0372", "E0580", "E0581"} == ({code} if code else set())
    other = {key: value for key, value in head.items() if key == "pooling" and value != "none"}
    path = spec(place, {"type": "text-classification", **other}, data=data)
    assert not codes(path) & {"W0370", "W0371", "W0372"}


@pytest.mark.parametrize("pooling", ["weightedmean", "mean_sqrt_len_tokens", ["mean", "max"]])
def test_a_pooling_that_graftc_has_not_is_refused_where_none_is_written(place: Path, pooling: Any) -> None:
    lay(place / "backbone", pooling)
    path = spec(place, {"type": "text-classification"})
    assert "E0581" in codes(path)
    assert planned(path, "head.pooling=mean").tasks[0].head.pooling == "mean"
    path = spec(place, {"type": "feature-extraction", "pooling": "mean"}, adapt={"method": "probe"})
    assert "W0370" in codes(path)


def test_what_is_not_read_is_said_of_vectors(place: Path) -> None:
    lay(place / "backbone", "mean", "Dense", "Normalize")
    assert "W0371" in codes(spec(place, {"type": "feature-extraction"}, adapt={"method": "probe"}))
    assert "W0371" not in codes(spec(place, {"type": "text-classification"}))


@pytest.mark.parametrize("name", ["modules.json", "1_Pooling/config.json", "sentence_bert_config.json"])
@pytest.mark.parametrize(
    "text", ["", "{", "3", "null", '"a"', "[[]]", '[{"type": 3}]', "[" * 9999, "\x00", "{}" + " " * (1 << 20)]
)
def test_a_wrong_file_is_a_finding_that_names_it(place: Path, name: str, text: str) -> None:
    lay(place / "backbone", "cls")
    (place / "backbone" / name).write_text(text)
    path = spec(place, {"type": "text-classification"})
    found = [said for said in building.found(path) if said.is_error]
    assert [said.code for said in found] == ["E0580"]
    assert name in found[0].headline


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("1_Pooling/config.json", {"pooling_mode": "median"}),
        ("1_Pooling/config.json", {"pooling_mode": {"a": 1}}),
        ("1_Pooling/config.json", {"pooling_mode": [["cls"]]}),
        ("1_Pooling/config.json", {"pooling_mode_cls_token": "yes"}),
        ("sentence_bert_config.json", {"max_seq_length": 0}),
        ("sentence_bert_config.json", {"max_seq_length": True}),
        ("sentence_bert_config.json", {"max_seq_length": 12.5}),
        ("modules.json", {}),
    ],
)
def test_a_wrong_value_is_a_finding(tmp_path: Path, name: str, value: Any) -> None:
    lay(tmp_path, "cls")
    (tmp_path / name).write_text(json.dumps(value))
    with pytest.raises(Refused) as caught:
        read_sentences(tmp_path)
    assert caught.value.diagnostics[0].code == "E0580"


def test_what_they_write_is_read(tmp_path: Path) -> None:
    assert read_sentences(tmp_path) is None
    lay(tmp_path, "lasttoken", "Normalize", length=None)
    assert read_sentences(tmp_path) == Sentences("last", "", None, True, ())
    lay(tmp_path, None, is_old=True)  # no mode is on, which is the mean
    assert read_sentences(tmp_path) == Sentences("mean", "", 64, False, ())
    (tmp_path / "1_Pooling" / "config.json").unlink()
    with pytest.raises(Refused):
        read_sentences(tmp_path)


def test_their_own_folder_is_read_as_they_wrote_it(place: Path) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer import modules

    parts = [
        modules.Transformer(str(place / "backbone"), max_seq_length=48),
        modules.Pooling(32, "cls"), modules.Normalize(),
    ]  # fmt: skip
    SentenceTransformer(modules=parts, device="cpu").save(str(place / "theirs"))
    assert read_sentences(place / "theirs") is not None
    shutil.rmtree(place / "backbone")
    (place / "theirs").rename(place / "backbone")
    plan = planned(spec(place, {"type": "feature-extraction"}, adapt={"method": "probe"}))
    assert plan.tasks[0].head.pooling == "cls"
    assert plan.tasks[0].head.record["is_normalized"]


def test_a_lock_covers_the_files(place: Path, graftc_command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    lay(place / "backbone", "cls", "Normalize")
    spec(place, {"type": "text-classification"})
    monkeypatch.chdir(place)
    assert graftc_command("lock", "spec.yaml").status == 0
    files = yaml.safe_load((place / "spec.lock.yaml").read_text())["backbone"]["files"]
    assert {"modules.json", "1_Pooling/config.json", "sentence_bert_config.json"} <= files.keys()
    lay(place / "backbone", "mean", "Normalize")
    answer = graftc_command("validate", "spec.yaml", "--locked")
    assert "E0344" in answer.codes
    assert "1_Pooling/config.json" in answer.err


@pytest.mark.parametrize(
    ("method", "head", "kept"),
    [
        ("full", {"type": "text-classification"}, "cls"),
        ("probe", {"type": "text-classification", "pooling": "max"}, "cls"),  # nothing in the backbone learned
        ("full", {"type": "text-classification", "pooling": "max"}, "mean"),  # cls vectors were not trained
    ],
)
def test_a_bundle_of_a_folder_keeps_its_pooling_where_it_still_pools_so(
    place: Path, method: str, head: dict[str, Any], kept: str
) -> None:
    lay(place / "backbone", "cls", "Normalize", length=40)
    train = {"max_steps": 2, "batch_size": 8}
    bundle = building.built(spec(place, head, adapt={"method": method}, train=train))
    of_bundle = {"backbone": {"from": f"bundle:{bundle.name}"}, "head": {"type": "text-classification"}}
    next_one = running.write_spec(place, data={"train": "rows.jsonl"}, **of_bundle)
    plan = planned(next_one)
    assert plan.tasks[0].head.pooling == kept
    assert plan.reading.preprocessing["max_length"] == (40 if kept == "cls" else 64)
    carried = [name for name in SENTENCES if (bundle / "checkpoint" / name).is_file()]
    assert carried == (list(SENTENCES) if kept == "cls" else [])
    for name in carried:
        assert (bundle / "checkpoint" / name).read_bytes() == (place / "backbone" / name).read_bytes()


def test_stages_before_leave_a_bundle_its_pooling_and_a_head_of_tokens_does_not(place: Path) -> None:
    lay(place / "backbone", "cls", length=40)
    building.write_rows(place / "texts.jsonl", [{"text": text} for text in TEXTS * 4])
    stage = {"objective": "contrastive", "adapt": {"method": "full"}, "data": {"train": "texts.jsonl"}}
    stages = [{**stage, "train": {"max_steps": 1}}]
    path = spec(place, {"type": "text-classification"}, adapt={"method": "probe"}, pretrain=stages)
    checkpoint = building.built(path) / "checkpoint"
    assert read_sentences(checkpoint) == Sentences("cls", "", 40, False, ())
    rows = [{"tokens": ["a", "film"], "tags": ["O", "B-X"]} for _ in range(8)]
    path = spec(place, {"type": "token-classification"}, rows, adapt={"method": "full"}, train={"max_steps": 1})
    assert read_sentences(building.built(path) / "checkpoint") is None


def test_another_pooling_of_the_folder_makes_another_checkpoint(place: Path) -> None:
    """Also where the spec says how it pools, so that nothing else of the plan changes."""
    lay(place / "backbone", "cls", length=40)
    head = {"type": "text-classification", "pooling": "cls"}
    path = spec(place, head, data={"max_length": 16}, adapt={"method": "full"}, train={"max_steps": 1})
    assert read_sentences(building.built(path) / "checkpoint") is not None
    lay(place / "backbone", "mean", length=40)
    assert read_sentences(building.built(path) / "checkpoint") is None
