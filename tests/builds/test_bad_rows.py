"""Builds of data with rows that can't be used: they give what the sound rows alone would give."""

from __future__ import annotations

import csv
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import transformers

import graftc
from graftc.compiler import api
from graftc.compiler.diagnostics import Refused
from graftc.compiler.stages.prepare import split_rows
from graftc.runtime.model import Model
from graftc.runtime.verify import verify

from ..backbones import tiny
from ..front import ground
from ..train import running

GOOD, BAD = ("lovely", "kind", "fresh"), ("rude", "stale", "cold")
TEXT = "the {} was {} and {} {}"


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("backbone") / "backbone"
    tiny.save("bert", folder)
    return folder


def rows(count: int = 48) -> list[dict[str, Any]]:
    chance = random.Random(0)
    found = []
    for i in range(count):
        words = BAD if i % 2 else GOOD
        text = TEXT.format(chance.choice(("room", "meal")), chance.choice(words), chance.choice(words), i)
        found.append({"text": text, "label": "down" if i % 2 else "up", "mood": round(chance.random(), 3)})
    return found


def spec(folder: Path, backbone: Path, **sections: Any) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "backbone").symlink_to(backbone)
    common: dict[str, Any] = {
        "backbone": {"from": "./backbone"}, "adapt": {"method": "probe"}, "train": {"max_steps": 6, "batch_size": 8},
    }  # fmt: skip
    return running.write_spec(folder, **(common | sections))


def lines(path: Path, values: list[Any]) -> None:
    path.write_text("".join(v + "\n" if isinstance(v, str) else json.dumps(v) + "\n" for v in values), encoding="utf-8")


def test_a_bundle_is_that_of_the_sound_rows(backbone: Path, tmp_path: Path) -> None:
    head = {"type": "text-classification"}
    data = {"train": "rows.jsonl", "validation": {"fraction": 0.25}, "max_length": 32}
    spoilt: list[Any] = rows()
    for at, bad in ((40, {"text": "", "label": "up"}), (20, '{"text": "cut'), (3, {"text": "x", "label": None})):
        spoilt.insert(at, bad)
    specs = {
        name: spec(tmp_path / name, backbone, head=head, data=data | more)
        for name, more in (("clean", {}), ("spoilt", {"bad_rows": {"skip": 0.1}}))
    }
    lines(tmp_path / "clean" / "rows.jsonl", rows())
    lines(tmp_path / "spoilt" / "rows.jsonl", spoilt)
    built = {name: graftc.build(path, tmp_path / name / "bundle", tmp_path / "store") for name, path in specs.items()}
    clean, left = built["clean"], built["spoilt"]
    assert clean.metrics == left.metrics
    texts = [row["text"] for row in rows()]
    assert Model(clean.folder).predict(texts) == Model(left.folder).predict(texts)
    assert list(verify(left.folder)) == ["fp32"]
    kinds = {"`label` is missing": 1, "`text` is empty": 1, "can't be read": 1}
    for name in ("manifest.json", "receipt.json"):
        assert json.loads((left.folder / name).read_bytes())["left_out"] == {"train": kinds}
        assert "left_out" not in json.loads((clean.folder / name).read_bytes())
    assert "| left out of train | 1: `label` is missing; 1: `text` is empty; 1: can't be read |" in (
        left.folder / "README.md"
    ).read_text(encoding="utf-8")
    again = graftc.build(specs["spoilt"], tmp_path / "spoilt" / "bundle", tmp_path / "store")
    assert not again.ran


def test_what_is_retained_is_measured_on_the_sound_rows(tmp_path: Path) -> None:
    backbone = tmp_path / "reader"
    tiny.save("gpt2", backbone, transformers.AutoModelForCausalLM)
    texts: list[Any] = [{"text": row["text"]} for row in rows(24)]
    kept: dict[str, Any] = {}
    for name, more in (("clean", {}), ("spoilt", {"bad_rows": {"skip": 0.1}})):
        data = {"train": "rows.jsonl", "max_length": 32}
        retain = {"data": "kept.jsonl", **more}
        path = spec(tmp_path / name, backbone, head={"type": "text-classification"}, data=data, retain=retain)
        lines(path.parent / "rows.jsonl", rows())
        lines(path.parent / "kept.jsonl", [*texts[:9], *(["[1]", {"text": " "}] if more else []), *texts[9:]])
        folder = graftc.build(path, path.parent / "bundle", tmp_path / "store").folder
        kept[name] = json.loads((folder / "manifest.json").read_bytes())
    assert kept["clean"]["retain"] == kept["spoilt"]["retain"]
    assert kept["spoilt"]["left_out"] == {"retain.test": {"`text` is empty": 1, "can't be read": 1}}


def test_the_rows_of_a_split_are_those_that_can_be_used(backbone: Path, tmp_path: Path) -> None:
    data = {"train": "rows.csv", "validation": {"fraction": 0.25}, "bad_rows": {"skip": 0.2}, "max_length": 32}
    path = spec(tmp_path / "a", backbone, head={"type": "text-classification"}, data=data)
    with (tmp_path / "a" / "rows.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        for i, row in enumerate(rows()):
            writer.writerow([row["text"], row["label"] if i % 12 else ""] + ["more"] * (i == 5))
    plan = api.plan(path)
    (task,) = plan.tasks
    parts = {}
    for name in ("train", "validation"):
        split = task.split(name)
        assert split is not None
        kept = [read.row for read in split_rows(plan, task, split, path.parent)]
        assert len(kept) == split.rows
        parts[name] = set(kept)
    sound = {i + 2 for i in range(48) if i % 12 and i != 5}
    assert parts["train"] | parts["validation"] == sound
    assert not parts["train"] & parts["validation"]


def test_heads_that_share_a_table_agree_on_its_rows(backbone: Path, tmp_path: Path) -> None:
    """Each leaves out what it can't use itself, and no row that one learns from tests another."""
    found = rows()
    for at in (2, 9, 16):
        found[at]["label"] = [1]  # of no use to the one, and fine for the other
    found[5]["text"] = ""
    found[30]["mood"] = "high"
    heads = {
        "up": {"type": "text-classification"},
        "mood": {"type": "text-regression", "data": {"columns": {"score": "mood"}}},
    }
    data = {"train": "rows.jsonl", "validation": {"fraction": 0.25}, "bad_rows": {"skip": 0.1}, "max_length": 32}
    path = spec(tmp_path / "a", backbone, heads=heads, data=data)
    lines(path.parent / "rows.jsonl", found)
    plan = api.plan(path)
    numbers: dict[str, dict[str, set[int]]] = {}
    for task in plan.tasks:
        for name in ("train", "validation"):
            split = task.split(name)
            assert split is not None
            kept = [read.row for read in split_rows(plan, task, split, path.parent)]
            assert len(kept) == split.rows, (task.name, name)
            numbers.setdefault(name, {})[task.name] = set(kept)
    assert not set.union(*numbers["train"].values()) & set.union(*numbers["validation"].values())
    assert numbers["train"]["up"] | numbers["validation"]["up"] == set(range(1, 49)) - {3, 10, 17, 6}
    assert numbers["train"]["mood"] | numbers["validation"]["mood"] == set(range(1, 49)) - {6, 31}
    built = graftc.build(path, tmp_path / "bundle", tmp_path / "store")
    assert list(verify(built.folder)) == ["fp32"]
    left = json.loads((built.folder / "manifest.json").read_bytes())["left_out"]
    assert left["up.train"] == {"`label` holds a list, not a label": 3, "`text` is empty": 1}
    assert left["mood.train"] == {"`mood` is text, not a number": 1, "`text` is empty": 1}


def test_several_labels_in_every_form_are_one_bundle(backbone: Path, tmp_path: Path) -> None:
    names = ("cold", "kind", "stale")
    texts = [row["text"] for row in rows()]
    sets = [[name for name in names if name in text] for text in texts]
    hot = [[int(name in found) for name in names] for found in sets]
    forms: dict[str, tuple[list[dict[str, Any]], dict[str, Any], dict[str, Any]]] = {
        "lists": ([{"labels": found} for found in sets], {}, {}),
        "texts": ([{"labels": str(found)} for found in sets], {}, {}),
        "places": ([{"labels": bits} for bits in hot], {"labels": list(names)}, {}),
        "columns": ([dict(zip(names, bits, strict=True)) for bits in hot], {}, {"columns": {"labels": list(names)}}),
    }
    found = {}
    for word, (targets, head, data) in forms.items():
        path = spec(
            tmp_path / word, backbone, head={"type": "text-classification", **head},
            data={"train": "rows.jsonl", "validation": {"fraction": 0.25}, "max_length": 32, **data},
        )  # fmt: skip
        lines(path.parent / "rows.jsonl", [{"text": text, **row} for text, row in zip(texts, targets, strict=True)])
        built = graftc.build(path, tmp_path / word / "bundle", tmp_path / "store")
        found[word] = built.metrics
        (answers,) = Model(built.folder).predict([texts[0]], top_k=3)
        assert sorted(answer.label for answer in answers) == sorted(names)
    assert len({json.dumps(metrics, sort_keys=True) for metrics in found.values()}) == 1, found


def test_pictures_that_can_t_be_read_are_all_named_by_the_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ground.lay(tmp_path)
    monkeypatch.chdir(tmp_path)
    tiny.save("vit", tmp_path / "model")
    sound = (tmp_path / "pictures/dark/0.png").read_bytes()
    damaged = bytearray(sound)
    damaged[sound.index(b"IDAT") + 6] ^= 255
    for name in ("dark/1.png", "light/2.png", "light/7.png"):
        (tmp_path / "pictures" / name).write_bytes(bytes(damaged))
    sections = {
        "backbone": {"from": "./model"}, "adapt": {"method": "probe"}, "head": {"type": "image-classification"},
        "data": {"train": "pictures", "validation": {"fraction": 0.25}}, "train": {"max_steps": 2, "batch_size": 4},
    }  # fmt: skip
    path = running.write_spec(tmp_path, **sections)
    with pytest.raises(Refused) as caught:
        graftc.build(path, tmp_path / "bundle", tmp_path / "store")
    (found,) = caught.value.diagnostics
    assert (found.code, found.headline) == ("E0316", "3 inputs can't be read")
    assert [note.split(":")[0] for note in found.notes] == [f"pictures/{n}" for n in ("dark/1.png", "light/2.png", "light/7.png")]  # fmt: skip
    assert "bad_rows" in found.help
    sections["data"] = {**sections["data"], "bad_rows": {"skip": 0.25}}
    built = graftc.build(running.write_spec(tmp_path, **sections), tmp_path / "bundle", tmp_path / "store")
    manifest = json.loads((built.folder / "manifest.json").read_bytes())
    assert manifest["left_out"] == {"train": {"`image` is no image that can be read": 3}}
    assert sum(manifest["rows"].values()) == 13
    assert np.isfinite(manifest["gates"]["parity"]["worst"])
