"""What frozen layers give is computed once for the same rows, whichever labels they have and whatever the head is called."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graftc.compiler.contracts.stage import Stage
from graftc.compiler.execution.progress import Progress
from graftc.compiler.stages import features as features_stage
from graftc.compiler.store import collection
from graftc.compiler.store.store import Store

from ..train import running
from . import subjects

TRAIN = {"epochs": 1, "batch_size": 8, "learning_rate": 0.01}
DATA = {"train": "rows.jsonl", "validation": "more.jsonl"}
MOOD: dict[str, Any] = {"type": "text-classification", "data": {"columns": {"label": "mood"}}}
THING: dict[str, Any] = {"type": "text-classification", "data": {"columns": {"label": "thing"}}}


def write(
    folder: Path, label: str = "", heads: Any = None, is_shorter: bool = False, words: str = "the film", **head: Any
) -> Path:
    """A probe of a tiny BERT for one label or for several heads, all of the same texts."""
    for name, count in (("rows.jsonl", 24), ("more.jsonl", 12)):
        rows = [{"text": f"{words} {i} was {'good' if i % 2 else 'dull'}", "mood": str(i % 2), "thing": str(i % 3), "parity": str(i % 4)} for i in range(count)]  # fmt: skip
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows[: -1 if is_shorter else None]))
    spec = subjects.text(folder, adapt={"method": "probe"}, train=TRAIN)
    columns = {"text": "text"} | ({"label": label} if label else {})
    heads = {"heads": heads} if heads else {"head": {"type": "text-classification", **head}}
    return subjects.write(folder, {k: v for k, v in spec.items() if k != "head"} | heads | {"data": {**DATA, "columns": columns}})  # fmt: skip


@pytest.fixture
def folds(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each split's features were computed."""
    found: Counter[str] = Counter()
    run: Callable[[Any], None] = features_stage.run

    def counted(work: Any) -> None:
        found[work.split] += 1
        run(work)

    monkeypatch.setattr(features_stage, "STAGE", Stage(run=counted))
    return found


def test_other_labels_of_the_same_texts_use_the_same_features(tmp_path: Path, folds: Counter[str]) -> None:
    store = tmp_path / "store"
    running.trained(write(tmp_path, "mood"), store)
    assert folds == {"train": 1, "validation": 1}
    _, _, second = running.trained(write(tmp_path, "thing"), store)
    assert folds == {"train": 1, "validation": 1}, "they are linked"
    _, _, cold = running.trained(write(tmp_path, "thing"), tmp_path / "cold")
    assert folds == {"train": 2, "validation": 2}
    assert np.array_equal(np.load(second / "losses.npy"), np.load(cold / "losses.npy"))


def test_builds_at_once_compute_them_once(tmp_path: Path, folds: Counter[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """While one build computes, another of other labels waits for it, and links what it made."""
    store, waiting, others = tmp_path / "store", threading.Event(), []
    counted, say = features_stage.STAGE.run, Progress.say

    def said(progress: Progress, text: str) -> None:
        if "waiting for another build" in text:
            waiting.set()
        say(progress, text)

    def beside(work: Any) -> None:
        if not others:
            (tmp_path / "other").mkdir()
            spec = write(tmp_path / "other", "thing")
            others.append(threading.Thread(target=running.trained, args=(spec, store, "features-train")))
            others[0].start()
            assert waiting.wait(60)
        counted(work)

    monkeypatch.setattr(Progress, "say", said)
    monkeypatch.setattr(features_stage, "STAGE", Stage(run=beside))
    _, _, first = running.trained(write(tmp_path, "mood"), store, "features-train")
    others[0].join(60)
    assert folds == {"train": 1}
    same = {path.stat().st_ino for path in first.parent.glob("*/values.npy")}
    assert len(list(first.parent.iterdir())) == 2
    assert len(same) == 1


def test_heads_of_one_table_use_the_same_features(tmp_path: Path, folds: Counter[str]) -> None:
    plan, _, _ = running.trained(write(tmp_path, heads={"mood": MOOD, "thing": THING}), tmp_path / "store")
    assert folds == {"train": 1, "validation": 1}
    assert plan.estimates.cached_bytes == 36 * plan.backbone.width * 4


@pytest.mark.parametrize("other", [{"pooling": "cls"}, {"is_shorter": True}, {"words": "film the"}])
def test_other_features_are_computed(other: dict[str, Any], tmp_path: Path, folds: Counter[str]) -> None:
    """Of another pooling, of fewer rows, and of rows that are as long."""
    running.trained(write(tmp_path, "mood"), tmp_path / "store", "features-train")
    running.trained(write(tmp_path, "thing", **other), tmp_path / "store", "features-train")
    assert folds == {"train": 2}


def test_what_lies_there_once_counts_once(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    for label in ("mood", "thing"):
        running.trained(write(tmp_path, label), store.root, "features-train")
    files = [path.stat() for path in (store.root / "stages").rglob("*") if path.is_file()]
    once = sum({status.st_ino: status.st_size for status in files}.values())
    entries = collection.entries(store)
    assert sum(status.st_size for status in files) > once, "some are linked"
    assert once - len(files) <= sum(entry.bytes for entry in entries) <= once


@pytest.mark.parametrize("copied", [False, True])
def test_a_collector_takes_just_what_the_limit_asks_for(copied: bool, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    for label in ("mood", "thing"):
        running.trained(write(tmp_path, label), store.root, "features-train")
    if copied:  # links from elsewhere are none of the store's
        shutil.copytree(store.root, tmp_path / "backup", copy_function=os.link)

    def lies() -> int:
        files = (path.stat() for path in (store.root / "stages").rglob("*") if path.is_file())
        return sum({status.st_ino: status.st_size for status in files}.values())

    while size := lies():
        met: list[int] = []
        collection.collect(store, size - 1, None, lambda entry, met=met: met.append(lies()))
        assert lies() < size
        assert set(met) == {size}, "none goes once the limit is kept"
        assert not any(collection.damage(store, entry) for entry in collection.entries(store)), "what is left is whole"


def test_what_was_collected_is_computed_again(tmp_path: Path, folds: Counter[str]) -> None:
    store = Store(tmp_path / "store")
    running.trained(write(tmp_path, "mood"), store.root, "features-train")
    collection.collect(store, 0, None)
    running.trained(write(tmp_path, "thing"), store.root, "features-train")
    assert folds == {"train": 2}


def test_other_normalisation_of_the_same_pixels_is_computed(tmp_path: Path, folds: Counter[str]) -> None:
    spec = subjects.images(tmp_path, adapt={"method": "probe"}, train={**TRAIN, "fold": {"views": 1}})
    spec["data"].pop("augment", None)
    path, found = subjects.write(tmp_path, spec), []
    config = tmp_path / "mobilenet" / "preprocessor_config.json"
    for mean in (0.5, 0.1):
        config.write_text(json.dumps({**json.loads(config.read_bytes()), "image_mean": [mean] * 3}))
        _, _, out = running.trained(path, tmp_path / "store", "features-train")
        found.append(np.load(out / "values.npy"))
    assert folds == {"train": 2}
    assert not np.allclose(*found)


def test_what_was_damaged_is_computed_again(tmp_path: Path, folds: Counter[str]) -> None:
    _, _, first = running.trained(write(tmp_path, "mood"), tmp_path / "store", "features-train")
    whole = (first / "values.npy").read_bytes()
    (first / "values.npy").write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    _, _, second = running.trained(write(tmp_path, "thing"), tmp_path / "store", "features-train")
    assert folds == {"train": 2}
    assert (second / "values.npy").read_bytes() == whole


def test_the_last_that_has_it_is_found_where_the_first_is_collected(tmp_path: Path, folds: Counter[str]) -> None:
    store = Store(tmp_path / "store")
    _, _, first = running.trained(write(tmp_path, "mood"), store.root, "features-train")
    _, _, second = running.trained(write(tmp_path, "thing"), store.root, "features-train")
    assert collection.remove(store, next(entry for entry in collection.entries(store) if entry.folder == first))
    (left,) = (entry for entry in collection.entries(store) if entry.stage == "features-train")
    assert left.folder == second
    assert not collection.damage(store, left)
    assert left.bytes == sum(path.stat().st_size for path in second.iterdir()), "all of it is its own now"
    running.trained(write(tmp_path, "parity"), store.root, "features-train")
    assert folds == {"train": 1}
