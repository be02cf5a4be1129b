"""text-regression: one number or several, of texts and of pairs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from graftc.compiler.api import check
from graftc.compiler.execution.prepared import Examples
from graftc.compiler.language.source import read
from graftc.compiler.metrics import regression
from graftc.compiler.planning.show import show
from graftc.runtime.errors import BundleError
from graftc.runtime.heads import text_regression
from graftc.runtime.model import Model
from graftc.runtime.rows import one_each
from graftc.runtime.verify import verify

from . import building

HEAD = {"type": "text-regression"}
ROWS = [
    {"a": f"the parcel is {'very ' * (i % 9)}late", "b": f"it took {i} days", "days": i % 9, "anger": (i % 9) / 2 - 1}
    for i in range(60)
]


def examples(targets: np.ndarray) -> Examples:
    return Examples(targets, np.arange(len(targets)), (), ())


@pytest.mark.parametrize(
    ("family", "columns"),
    [
        ("bert", {"text": "a", "score": "days"}),
        ("gpt2", {"text": "a", "text_pair": "b", "score": ["days", "anger"]}),
    ],
)
def test_a_bundle_answers_with_numbers(family: str, columns: dict[str, Any], tmp_path: Path) -> None:
    building.write_rows(tmp_path / "rows.jsonl", ROWS)
    data = {"train": "rows.jsonl", "validation": {"fraction": 0.2}, "columns": columns, "max_length": 32}
    bundle = building.bundle(tmp_path, family, HEAD, data)
    assert building.gates(bundle)["parity"]["worst"] <= 1e-4
    assert verify(bundle)["fp32"] < 1e-5
    pairs = "text_pair" in columns
    said = building.script(bundle, "the parcel is late", "it took 3 days")
    answers = Model(bundle).predict([("the parcel is late", "it took 3 days")] if pairs else ["the parcel is late"])
    assert len(said) == (1 if pairs else 2)
    if pairs:
        assert [answer["name"] for answer in said[0]] == ["days", "anger"]
        assert [answer.score for answer in answers[0]] == pytest.approx([a["score"] for a in said[0]])
    else:
        assert said[0] == {"name": "days", "score": pytest.approx(answers[0].score)}


def test_a_plan_lists_the_numbers(tmp_path: Path) -> None:
    building.write_rows(tmp_path / "rows.jsonl", ROWS)
    data = {"train": "rows.jsonl", "columns": {"text": "a", "score": ["days", "anger"]}}
    planned = check(read(building.written(tmp_path, "bert", HEAD, data)))[0]
    assert planned is not None
    lines = show(planned).splitlines()
    assert "  numbers      days, anger" in lines
    assert not [line for line in lines if line.startswith("  tags")]


def test_numbers_are_answered_as_the_graph_gives_them() -> None:
    logits = np.array([[1.5, -2.0], [0.25, 4.0]], np.float32)
    rows = one_each(["x", "y"], [{}, {}])
    both = text_regression.decode({"logits": logits}, {"names": ["days", "anger"]}, rows)
    assert both[0] == (text_regression.Answer("days", 1.5), text_regression.Answer("anger", -2.0))
    (one, _) = text_regression.decode({"logits": logits[:, :1]}, {"names": ["days"]}, rows)
    assert one == text_regression.Answer("days", 1.5)
    with pytest.raises(BundleError, match="other numbers"):
        text_regression.decode({"logits": logits}, {"names": ["days"]}, rows)


def test_metrics_are_those_of_scipy_and_of_pen_and_paper() -> None:
    draw = np.random.default_rng(0)
    truth = draw.normal(size=(50, 2)).astype(np.float32)
    found = truth + draw.normal(size=(50, 2)).astype(np.float32)
    record = {"names": ("x", "y")}
    scores = regression.report(record, {"logits": found}, examples(truth))
    for name, function in (("pearson", stats.pearsonr), ("spearman", stats.spearmanr)):
        assert scores[name] == pytest.approx(np.mean([function(found[:, i], truth[:, i])[0] for i in (0, 1)]), abs=1e-5)
    by_hand = np.array([[1.0], [2.0], [4.0]], np.float32), np.array([[1.0], [4.0], [1.0]], np.float32)
    scores = regression.report({"names": ("x",)}, {"logits": by_hand[0]}, examples(by_hand[1]))
    assert (scores["mae"], scores["mse"]) == (pytest.approx(5 / 3, abs=1e-6), pytest.approx(13 / 3, abs=1e-6))
    assert scores["r2"] == pytest.approx(1 - 13 / 6, abs=1e-5)
    assert [regression.direction(name) for name in ("pearson", "rmse")] == [1, -1]


def test_numbers_that_do_not_vary_have_no_correlation() -> None:
    truth = np.arange(4, dtype=np.float32)[:, None]
    scores = regression.report({"names": ("x",)}, {"logits": np.ones((4, 1), np.float32)}, examples(truth))
    assert (scores["pearson"], scores["spearman"]) == (None, None)
    assert regression.one("pearson", {"names": ("x",)}, {"logits": truth[:1]}, examples(truth[:1])) is None


@pytest.mark.parametrize(
    ("value", "code", "words"),
    [
        ("high", "E0313", "`days` is text, not a number"),
        (None, "E0313", "`days` is missing"),
        ([1], "E0313", "`days` is a list, not a number"),
        ("inf", "E0313", "`days` is beyond the numbers that can be learned"),
        ("-1e20", "E0313", "`days` is beyond the numbers that can be learned"),  # its square is beyond float32
    ],
)
def test_what_is_no_number_is_told_with_its_row(value: Any, code: str, words: str, tmp_path: Path) -> None:
    building.write_rows(tmp_path / "rows.jsonl", [*ROWS, {**ROWS[0], "days": value}])
    data = {"train": "rows.jsonl", "columns": {"text": "a", "score": ["anger", "days"]}}
    (told,) = [d for d in building.found(building.written(tmp_path, "bert", HEAD, data)) if d.is_error]
    assert (told.code, told.headline) == (code, words)
    assert "61" in str(told.at)


def test_numbers_that_are_all_the_same_are_refused(tmp_path: Path) -> None:
    building.write_rows(tmp_path / "rows.jsonl", [{**row, "days": 2} for row in ROWS])
    data = {"train": "rows.jsonl", "columns": {"text": "a", "score": ["anger", "days"]}}
    (told,) = [d for d in building.found(building.written(tmp_path, "bert", HEAD, data)) if d.is_error]
    assert told.code == "E0315"
    assert "`days`" in told.notes[0]
