"""What costs nothing, of every head: against numbers computed by hand or by scikit-learn itself, on rows that are read as a build reads them."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import accuracy_score, f1_score

from graftc.compiler.floors import linear
from graftc.compiler.stages import floor as stage

from ..heads import building
from ..train import running

TEXTS = {
    "music": "a man is playing a guitar",
    "money": "the bank raised interest rates",
    "travel": "the train goes north",
}


def floors(
    folder: Path,
    head: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    held: Sequence[Mapping[str, Any]],
    columns: Mapping[str, Any],
    **train: Any,
) -> dict[str, Any]:
    """What the stage of floors writes of a head on rows, `held` for validation and test."""
    for split, given in (("train", rows), ("validation", held), ("test", held)):
        building.write_rows(folder / f"{split}.jsonl", given)
    data = {
        "train": "train.jsonl",
        "validation": "validation.jsonl",
        "test": "test.jsonl",
        "columns": columns,
        "max_length": 32,
    }
    spec = building.written(folder, "bert", head, data, train={"epochs": 1, "batch_size": 8, **train})
    out = running.trained(spec, folder / "store", "floor")[2]
    found: dict[str, Any] = json.loads((out / "floors.json").read_bytes())
    assert all(
        np.isfinite(value)
        for floors in found["scores"].values()
        for scores in floors.values()
        for value in scores.values()
        if value is not None
    )
    return found


def labelled(count: int, seed: int) -> list[dict[str, Any]]:
    draw = random.Random(seed)
    labels = [draw.choice(["money", "music", "music", "travel"]) for _ in range(count)]
    return [{"text": f"{TEXTS[label]} {i}", "label": label} for i, label in enumerate(labels)]


def test_of_labels_the_commonest_and_words(tmp_path: Path) -> None:
    rows, held = labelled(60, 0), labelled(30, 1)
    found = floors(tmp_path, {"type": "text-classification"}, rows, held, {"text": "text", "label": "label"})
    truth = [row["label"] for row in held]
    for split in ("validation", "test"):
        scores = found["scores"][split]
        assert list(scores) == ["most frequent", "words"]
        assert scores["most frequent"]["accuracy"] == pytest.approx(accuracy_score(truth, ["music"] * 30), abs=1e-6)
        assert scores["most frequent"]["f1_macro"] == pytest.approx(
            f1_score(truth, ["music"] * 30, average="macro", zero_division=0), abs=1e-6
        )
        assert scores["words"]["accuracy"] == 1.0
    shares = np.array([[row["label"] for row in rows].count(label) for label in TEXTS]) / 60
    assert found["untrained"] == pytest.approx(-(shares * np.log(shares)).sum(), rel=0.01), "the entropy of the labels"
    assert found["tells"] < 0.5


def test_of_several_labels_each_has_its_share(tmp_path: Path) -> None:
    rows, held = ([{"text": f"{TEXTS['music']} {i}" if i % 3 else f"{TEXTS['money']} {i}", "labels": ["music"] if i % 3 else ["money", "odd"]} for i in range(count)] for count in (40, 20))  # fmt: skip
    found = floors(tmp_path, {"type": "text-classification"}, rows, held, {"text": "text", "labels": "labels"})
    scores = found["scores"]["validation"]
    assert scores["words"]["f1_macro"] == 1.0
    assert 0 < scores["most frequent"]["f1_macro"] < 1


def test_of_numbers_the_mean_and_words(tmp_path: Path) -> None:
    rows, held = ([{"text": f"{TEXTS['music'] if i % 2 else TEXTS['money']}", "score": float(i % 2) + 0.1 * (i % 3)} for i in range(count)] for count in (60, 31))  # fmt: skip
    found = floors(tmp_path, {"type": "text-regression"}, rows, held, {"text": "text", "score": "score"})
    mean, truth = np.mean([row["score"] for row in rows]), np.array([row["score"] for row in held])
    scores = found["scores"]["validation"]
    assert scores["most frequent"]["mse"] == pytest.approx(((truth - mean) ** 2).mean(), abs=1e-5)
    assert scores["words"]["mse"] < 0.1 * scores["most frequent"]["mse"]


def test_of_tags_the_commonest_of_each_word(tmp_path: Path) -> None:
    rows = [{"tokens": ["the", "bank", "raised", "rates", str(i)], "tags": ["O", "B-money", "O", "B-money" if i % 3 else "O", "O"]} for i in range(12)]  # fmt: skip
    held = [{"tokens": ["a", "bank", "of", "rates", "here"], "tags": ["O", "B-money", "O", "O", "B-money"]}]
    found = floors(tmp_path, {"type": "token-classification"}, rows, held, {"tokens": "tokens", "tags": "tags"})
    scores = found["scores"]["validation"]
    assert scores["most frequent"]["f1_micro"] in (0.0, None)
    assert scores["commonest tag of a word"]["f1_micro"] == 0.5, (
        "of two that are there one is found, and one that is not"
    )


def test_of_questions_no_answer_where_some_have_none(tmp_path: Path) -> None:
    context = "The central bank raised interest rates."

    def row(i: int) -> dict[str, Any]:
        return {"question": f"Who {i}?", "context": context, "answers": {"text": ["bank"], "answer_start": [12]} if i % 4 else {"text": [], "answer_start": []}}  # fmt: skip

    columns = {"question": "question", "context": "context", "answers": "answers"}
    found = floors(
        tmp_path, {"type": "question-answering"}, [row(i) for i in range(12)], [row(i) for i in range(8)], columns
    )
    assert found["scores"]["validation"]["no answer"]["exact_match"] == 0.25


@pytest.mark.parametrize(("epochs", "asked"), [(40, {"TF-IDF cosine", "untouched cosine"}), (1, {"TF-IDF cosine"})])
def test_of_passages_two_cosines_the_untouched_one_where_it_is_cheap(
    tmp_path: Path, epochs: int, asked: set[str]
) -> None:
    rows = [{"query": f"{TEXTS[a]} {i}", "passage": f"{TEXTS[b]}", "label": int(a == b)} for i in range(4) for a in TEXTS for b in TEXTS]  # fmt: skip
    columns = {"text": "query", "text_pair": "passage", "label": "label"}
    found = floors(tmp_path, {"type": "text-ranking"}, rows, rows[:18], columns, epochs=epochs)
    assert set(found["scores"]["validation"]) == asked
    assert found["scores"]["validation"]["TF-IDF cosine"]["mrr"] == 1.0
    if epochs > 1:  # the same text has the same vector, and a cosine of one
        assert found["scores"]["validation"]["untouched cosine"]["mrr"] > 0.6


def test_of_similar_texts_vectors_of_both(tmp_path: Path) -> None:
    rows = [{"one": f"{TEXTS[a]} {i}", "other": TEXTS[b], "score": float(a == b)} for i in range(4) for a in TEXTS for b in TEXTS]  # fmt: skip
    columns = {"text": "one", "text_pair": "other", "score": "score"}
    found = floors(tmp_path, {"type": "sentence-similarity"}, rows, rows[:18], columns, epochs=40)
    scores = found["scores"]["validation"]
    assert scores["TF-IDF cosine"]["spearman"] > 0.7
    assert "spearman" in scores["untouched cosine"]


def test_of_masks_the_commonest_word(tmp_path: Path) -> None:
    import transformers

    from ..backbones import tiny

    tiny.save("bert", tmp_path / "backbone", transformers.AutoModelForMaskedLM)
    rows = [{"text": TEXTS["travel"]} for _ in range(12)]
    found = floors(tmp_path, {"type": "fill-mask"}, rows, rows, {"text": "text"})
    scores = found["scores"]["validation"]["commonest word"]
    assert 0 < scores["accuracy"] < 1
    assert 0 < scores["loss"] < np.log(tiny.VOCABULARY), "better than to know nothing"


def test_of_pictures_mean_colours_and_features_that_are_kept(tmp_path: Path) -> None:
    from ..backbones import tiny

    tiny.save("vit", tmp_path / "backbone")
    draw = np.random.default_rng(0)
    for split in ("train", "validation"):
        for label, colour in (("red", (200, 60, 60)), ("blue", (60, 60, 200))):
            (tmp_path / split / label).mkdir(parents=True)
            for i in range(8):
                pixels = np.clip(draw.normal(colour, 30, (32, 32, 3)), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(tmp_path / split / label / f"{i}.png")
    for method, kept in (("probe", ["features"]), ("full", [])):
        data = {"train": "train", "validation": "validation"}
        spec = building.written(tmp_path, "vit", {"type": "image-classification"}, data, adapt={"method": method})
        out = running.trained(spec, tmp_path / "store", "floor")[2]
        scores = json.loads((out / "floors.json").read_bytes())["scores"]["validation"]
        assert list(scores) == ["most frequent", "mean colours", *kept]
        assert scores["mean colours"]["accuracy"] == 1.0


def test_specs_that_differ_in_training_share_their_floors(tmp_path: Path) -> None:
    rows, columns = labelled(20, 0), {"text": "text", "label": "label"}
    places = set()
    for rate in (1e-4, 1e-3):
        building.write_rows(tmp_path / "train.jsonl", rows)
        data = {"train": "train.jsonl", "validation": {"fraction": 0.3}, "columns": columns}
        spec = building.written(tmp_path, "bert", {"type": "text-classification"}, data, train={"learning_rate": rate})
        places.add(running.trained(spec, tmp_path / "store", "floor")[2])
    assert len(places) == 1


def test_work_is_bounded() -> None:
    assert len(linear.thinned(20_000, 2)) == 20_000
    assert len(linear.thinned(20_000, 1000)) == linear.ENTRIES // 1000
    assert stage.MOST == 20_000


def test_texts_without_a_word_have_no_floor_of_words(tmp_path: Path) -> None:
    rows = [{"text": "!?" * (1 + i % 3), "label": "ab"[i % 2]} for i in range(12)]
    found = floors(tmp_path, {"type": "text-classification"}, rows, rows, {"text": "text", "label": "label"})
    assert list(found["scores"]["validation"]) == ["most frequent"]
