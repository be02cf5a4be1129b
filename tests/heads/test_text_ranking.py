"""text-ranking: scores of pairs, and the order that they give to the passages of a query."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graftc.compiler.execution.prepared import Examples
from graftc.compiler.heads import _scores
from graftc.compiler.heads import text_ranking as head
from graftc.compiler.metrics import ranking
from graftc.runtime.errors import BundleError
from graftc.runtime.heads import text_ranking
from graftc.runtime.model import Model
from graftc.runtime.rows import one_each
from graftc.runtime.verify import verify

from . import building

ROWS = [
    {
        "text": f"where is number {i // 3}?",
        "text_pair": f"number {i % 7} is {'far ' * (i % 5)}away",
        "label": i % 3 // 2,
    }
    for i in range(60)
]
GRADED = [{"text": row["text"], "text_pair": row["text_pair"], "score": i % 4} for i, row in enumerate(ROWS)]


@pytest.mark.parametrize(
    ("family", "rows", "options"),
    [
        ("bert", ROWS, {}),
        ("roberta", GRADED, {"loss": "mse", "score_range": [0, 3]}),
    ],
)
def test_a_bundle_scores_pairs(family: str, rows: Any, options: dict[str, Any], tmp_path: Path) -> None:
    building.write_rows(tmp_path / "train.jsonl", rows[:40])
    building.write_rows(tmp_path / "validation.jsonl", rows[40:])
    data = {"train": "train.jsonl", "validation": "validation.jsonl", "max_length": 32}
    bundle = building.bundle(tmp_path, family, {"type": "text-ranking", **options}, data)
    assert building.gates(bundle)["parity"]["worst"] <= 1e-4
    assert verify(bundle)["fp32"] < 1e-5
    model = Model(bundle)
    scores = model.manifest["metrics"]["validation"]["torch"]
    assert scores["queries"] == 7
    assert 0 < scores["mrr"] <= 1
    (said,) = building.script(bundle, "where is number 1?", "number 1 is away")
    answers = model.predict([("where is number 1?", "number 1 is away"), ("where is number 1?", "no")])
    assert [type(answer).__name__ for answer in answers] == ["Answer", "Answer"]
    assert said == {"score": pytest.approx(answers[0].score)}


def test_a_chance_is_between_0_and_1_and_other_scores_are_as_they_are() -> None:
    logits, rows = np.array([[0.0], [1000.0]], np.float32), one_each(["x", "y"], [{}, {}])
    assert text_ranking.decode({"logits": logits}, {"loss": "bce"}, rows) == [
        text_ranking.Answer(0.5),
        text_ranking.Answer(1.0),
    ]
    assert text_ranking.decode({"logits": logits}, {"loss": "mse"}, rows)[1] == text_ranking.Answer(1000.0)
    with pytest.raises(BundleError, match="one score"):
        text_ranking.decode({"logits": np.zeros((1, 2))}, {"loss": "bce"}, rows)


def test_metrics_by_hand() -> None:
    """Two queries: the answer of the one stands second of three, those of the other first and third; a third has none."""
    queries = ["a", "b", "a", "b", "a", "b", "c"]
    found = np.array([0.9, -3.0, 0.5, -4.0, -0.1, -5.0, 5.0], np.float32)[:, None]
    truth = np.array([0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 0.0], np.float32)[:, None]
    examples = Examples(truth, np.arange(7), queries, ())
    scores = ranking.report({"relevant": 0.5}, {"logits": found}, examples)
    gain = [1 / np.log2(3), (1 + 1 / np.log2(4)) / (1 + 1 / np.log2(3))]
    assert scores == {
        "mrr": pytest.approx((1 / 2 + 1) / 2, abs=1e-5),
        "ndcg": pytest.approx(np.mean(gain), abs=1e-5),
        "map": pytest.approx((1 / 2 + (1 + 2 / 3) / 2) / 2, abs=1e-5),
        "queries": 3,
    }


@pytest.mark.parametrize(
    ("head", "change", "code"),
    [
        ({}, {"score": "good"}, "E0313"),
        ({}, {"score": 4}, "E0370"),
        ({"score_range": [0, 3]}, {"score": -1}, "E0370"),
        ({"loss": "mse"}, {"score": None}, "E0313"),
        ({}, {"text_pair": ""}, "E0313"),
    ],
)
def test_bad_rows_are_told_with_their_number(head: Any, change: Any, code: str, tmp_path: Path) -> None:
    low = GRADED if head else [{**row, "score": row["score"] / 3} for row in GRADED]
    building.write_rows(tmp_path / "rows.jsonl", [*low, {**low[0], **change}])
    spec = building.written(tmp_path, "bert", {"type": "text-ranking", **head}, {"train": "rows.jsonl"})
    (told,) = [d for d in building.found(spec) if d.is_error]
    assert told.code == code
    assert "61" in str(told.at)


def test_a_query_without_passages_and_a_range_backwards_are_refused(tmp_path: Path) -> None:
    building.write_rows(tmp_path / "rows.jsonl", [{"text": row["text"], "label": row["label"]} for row in ROWS])
    spec = building.written(tmp_path, "bert", {"type": "text-ranking"}, {"train": "rows.jsonl"})
    assert [d.code for d in building.found(spec) if d.is_error] == ["E0312"]
    building.write_rows(tmp_path / "rows.jsonl", ROWS)
    head = {"type": "text-ranking", "score_range": [1, 0]}
    assert "E0209" in [
        d.code for d in building.found(building.written(tmp_path, "bert", head, {"train": "rows.jsonl"}))
    ]


@pytest.mark.parametrize(
    ("options", "scores", "defined"),
    [
        ({}, [0.0, 0.4], {"ndcg"}),  # above zero, but not relevant
        ({}, [0.0, 0.5], {"mrr", "ndcg", "map"}),
        ({}, [0.0, 0.0], set()),
        ({"loss": "mse"}, [0.0, 1.4], {"ndcg"}),  # of training scores from 0 to 3
        ({"loss": "mse"}, [-1.0, 1.5], {"mrr", "ndcg", "map"}),
        ({"loss": "mse"}, [-1.0, -1.0], set()),
        ({"score_range": (0.1, 3.1)}, [0.1, 1.5], {"ndcg"}),
        ({"score_range": (0.1, 3.1)}, [0.1, 1.6], {"mrr", "ndcg", "map"}),
        ({"score_range": (-2.0, 3.0)}, [-2.0, -2.0], set()),
        ({"score_range": (-2.0, 3.0)}, [0.4, 0.5], {"mrr", "ndcg", "map"}),
    ],
)
def test_a_metric_is_defined_where_it_gives_a_value(options: Any, scores: list[float], defined: set[str]) -> None:
    """What is said of rows before anything is trained is what the scores then are."""
    columns = {"text": ("text",), "text_pair": ("text_pair",), "score": ("score",)}
    train, validation = _scores.Tally(columns), _scores.Tally(columns)
    for score in (0.0, 1.0) if not options else (0.1, 3.1) if "score_range" in options else (0.0, 3.0):
        train.add({"score": score}, ("train.jsonl", 1))
    for score in scores:
        validation.add({"score": score}, ("validation.jsonl", 1))
    record = head.lower(head.Options(**options), train)
    targets = np.stack([head.target(record, {"score": score}, columns, [{}])[0] for score in scores])
    examples = Examples(targets, np.arange(len(scores)), ["a query"] * len(scores), ())
    given = {name: ranking.one(name, record, {"logits": np.zeros_like(targets)}, examples) for name in ranking.NAMES}
    assert {name for name, value in given.items() if value is not None} == defined
    assert {name for name in ranking.NAMES if ranking.is_defined(name, validation.summary, record)} == defined


def test_a_metric_of_relevant_passages_is_refused_where_there_are_none(tmp_path: Path) -> None:
    low = [{**row, "score": row["score"] % 2} for row in GRADED]
    building.write_rows(tmp_path / "train.jsonl", GRADED)
    building.write_rows(tmp_path / "validation.jsonl", low)
    data = {"train": "train.jsonl", "validation": "validation.jsonl"}
    options = {"type": "text-ranking", "score_range": [0, 3]}
    spec = building.written(tmp_path, "bert", options, data, train={"epochs": 1, "metric": "mrr"})
    (told,) = (each for each in building.found(spec) if each.is_error)
    assert (told.code, told.notes) == ("E0430", ("its 60 rows say 0 to 1",))
    assert "ndcg" in told.help
    assert "E0430" not in {
        each.code for each in building.found(building.written(tmp_path, "bert", options, data, train={"epochs": 1}))
    }


def test_scores_are_learned_within_their_range() -> None:
    columns = {"text": ("text",), "text_pair": ("text_pair",), "score": ("score",)}
    for scores, wanted in (((0.0, 4.0), 0.75), ((1.0, 3.0), 1.0), (None, 3.0)):
        (found,) = head.target({"score_range": scores}, {"score": "3"}, columns, [{}])
        assert found == wanted
