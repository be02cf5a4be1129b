"""Scores that are undefined: never chosen, stopped or gated by, null in JSON and a dash for people."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from graftc.compiler.cli import main
from graftc.compiler.diagnostics import Refused
from graftc.compiler.execution.prepared import Examples
from graftc.compiler.metrics import language, regression
from graftc.compiler.stages import verify
from graftc.compiler.training.loop import Training

from . import building

NUMBERS = [{"text": f"it took {i % 7} days", "score": i % 7} for i in range(30)]
WORDS = [{"text": f"the {'bill' if i % 2 else 'bug'} {i}", "label": "ab"[i % 2]} for i in range(30)]


def test_a_default_metric_without_a_value_gives_way_to_the_next(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    building.write_rows(tmp_path / "train.jsonl", NUMBERS)
    building.write_rows(tmp_path / "validation.jsonl", [{**row, "score": 3} for row in NUMBERS[:12]])
    data = {"train": "train.jsonl", "validation": "validation.jsonl"}
    spec = building.written(tmp_path, "bert", {"type": "text-regression"}, data)
    main(["plan", str(spec), "--why", "train.metric"])
    assert "has no value on these validation rows" in capsys.readouterr().out
    bundle = building.built(spec)
    manifest = json.loads((bundle / "manifest.json").read_bytes())
    assert manifest["metric"] == "mse"
    scores = manifest["metrics"]["validation"]["fp32"]
    assert scores["pearson"] is None
    assert scores["spearman"] is None
    assert scores["mse"] > 0
    row = next(
        line for line in (bundle / "README.md").read_text().splitlines() if line.startswith("| validation | fp32")
    )
    assert row.split("|")[3].strip() == "–"


def test_a_written_metric_without_a_value_is_refused(tmp_path: Path) -> None:
    building.write_rows(tmp_path / "train.jsonl", WORDS)
    building.write_rows(tmp_path / "validation.jsonl", [row for row in WORDS if row["label"] == "a"])
    data = {"train": "train.jsonl", "validation": "validation.jsonl"}
    spec = building.written(
        tmp_path, "bert", {"type": "text-classification"}, data, train={"epochs": 1, "metric": "roc_auc_macro"}
    )
    found = {each.code: each for each in building.found(spec)}
    assert "accuracy" in found["E0430"].help
    assert "`b`" in found["W0430"].headline


def test_a_written_metric_without_a_value_on_rows_held_out_is_refused(tmp_path: Path) -> None:
    rows = [{"text": f"row {i}", "label": "a" if i else "b"} for i in range(100)]
    building.write_rows(tmp_path / "train.jsonl", rows)
    data = {"train": "train.jsonl", "validation": {"fraction": 0.2}}
    spec = building.written(
        tmp_path, "bert", {"type": "text-classification"}, data, train={"epochs": 1, "metric": "roc_auc_macro"}
    )
    (told,) = (each for each in building.found(spec) if each.code == "E0430")
    assert "of its 20 rows 20 have `a`" in told.notes


@pytest.mark.parametrize(("tag", "metric"), [("O", "accuracy"), ("B-PER", "f1_micro")])
def test_entities_are_scored_by_words_where_validation_has_none(
    tag: str, metric: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"tokens": ["Ann", "sings", str(i)], "tags": ["B-PER", "O", "O"]} for i in range(20)]
    building.write_rows(tmp_path / "train.jsonl", rows)
    building.write_rows(tmp_path / "validation.jsonl", [{**row, "tags": [tag, "O", "O"]} for row in rows[:6]])
    data = {"train": "train.jsonl", "validation": "validation.jsonl"}
    spec = building.written(tmp_path, "bert", {"type": "token-classification"}, data)
    main(["plan", str(spec), "--why", "train.metric"])
    assert f"train.metric = {metric}" in capsys.readouterr().out


def gate(ours: np.ndarray, theirs: np.ndarray, truth: np.ndarray) -> Any:
    """What the gate on `pearson` says of a trained network's and a graph's answers."""
    rows, names = truth.shape[0], tuple(f"score {number}" for number in range(truth.shape[1]))
    examples = Examples(truth, np.arange(rows), references=[{}] * rows, features=())
    variant = SimpleNamespace(metrics=regression.METRICS)
    task: Any = SimpleNamespace(gates_by="pearson", named=lambda name: name, head=SimpleNamespace(variant=variant))
    plan: Any = SimpleNamespace(export=SimpleNamespace(allowed=lambda precision: 0.01), seed=0)
    record: dict[str, Any] = {"names": names}
    answers = {"logits": ours}, {"logits": theirs}
    return verify._gate(plan, task, (record, record), "int8", *answers, examples, Path("draft"))


def test_a_graph_that_loses_its_score_fails_the_gate() -> None:
    """Answers that are all alike have no correlation; that is no reason to let them pass."""
    truth = np.arange(20, dtype=np.float32)[:, None]
    assert gate(truth, truth, truth)["drop"] == 0
    assert gate(truth * 0, truth, truth)["drop"] is None
    with pytest.raises(Refused) as refused:
        gate(truth, truth * 0, truth)
    assert refused.value.diagnostics[0].code == "E0402"


def language_gate(loss: float, more: float, name: str) -> Any:
    """What the gate on a metric of words says of a loss, and of a graph's loss that is higher by `more`."""
    names = np.arange(400)
    examples = Examples(names, names, references=[{}] * 400, features=())
    variant = SimpleNamespace(metrics=language.METRICS)
    task: Any = SimpleNamespace(gates_by=name, named=lambda name: name, head=SimpleNamespace(variant=variant))
    plan: Any = SimpleNamespace(export=SimpleNamespace(allowed=lambda precision: 0.02), seed=0)
    ours, theirs = ({"losses": np.full((400, 1), each), "hits": np.ones((400, 1))} for each in (loss, loss + more))
    return verify._gate(plan, task, ({}, {}), "int8", ours, theirs, examples, Path("draft"))


@pytest.mark.parametrize("loss", [0.5, 5.0])
def test_perplexity_falls_as_a_share_whatever_its_size(loss: float) -> None:
    assert language_gate(loss, 0.019, "perplexity")["drop"] == pytest.approx(0.0192, abs=1e-4)
    with pytest.raises(Refused) as refused:
        language_gate(loss, 0.021, "perplexity")
    assert "by 2.12%" in refused.value.diagnostics[0].notes[0]


def test_the_loss_itself_falls_in_its_own_units() -> None:
    assert language_gate(5.0, 0.015, "loss")["drop"] == pytest.approx(0.015)


def test_a_graph_that_loses_one_of_several_numbers_fails_the_gate() -> None:
    """The worse one: over the other alone, the mean would have risen."""
    truth = np.stack([np.arange(20.0), np.arange(20.0) % 7], -1)
    ours = truth + np.stack([np.zeros(20), np.arange(20.0) % 3 * 4], -1)
    assert gate(ours, ours, truth)["drop"] == 0
    with pytest.raises(Refused) as refused:
        gate(ours, ours * [1, 0], truth)
    assert refused.value.diagnostics[0].code == "E0402"


@pytest.mark.parametrize(
    ("fraction", "counts", "absent"),
    [(0.2, {"a": 20, "b": 1}, ["b"]), (0.2, {"a": 20, "b": 2}, [])],
)
def test_labels_that_holding_out_leaves_without_a_row_are_told(
    fraction: float, counts: dict[str, int], absent: list[str], tmp_path: Path
) -> None:
    rows = [{"text": f"{label} {i}", "label": label} for label, count in counts.items() for i in range(count)]
    building.write_rows(tmp_path / "train.jsonl", rows)
    data = {"train": "train.jsonl", "validation": {"fraction": fraction}}
    spec = building.written(tmp_path, "bert", {"type": "text-classification"}, data)
    told = [each.headline for each in building.found(spec) if each.code == "W0430"]
    assert [label for label in counts if any(f"`{label}`" in each for each in told)] == absent


def test_types_of_entities_without_a_row_are_told(tmp_path: Path) -> None:
    rows = [{"tokens": ["Ann", "sees", "Oslo"], "tags": ["B-PER", "O", "B-LOC"]} for _ in range(10)]
    building.write_rows(tmp_path / "train.jsonl", rows)
    building.write_rows(tmp_path / "validation.jsonl", [{**row, "tags": ["B-PER", "O", "O"]} for row in rows])
    building.write_rows(tmp_path / "test.jsonl", [{**row, "tags": ["O", "O", "O"]} for row in rows])

    def told(**splits: Any) -> dict[tuple[str, ...], str]:
        data = {"train": "train.jsonl", **splits}
        spec = building.written(tmp_path, "bert", {"type": "token-classification"}, data)
        return {each.at.path: each.headline for each in building.found(spec) if each.code == "W0430"}

    assert told(validation="validation.jsonl", test="test.jsonl") == {
        ("data", "validation"): "a type of entities has no validation row: `LOC`",
        ("data", "test"): "2 types of entities have no test row: `PER`, `LOC`",
    }
    assert told(validation="train.jsonl", test="train.jsonl") == {}
    assert told(validation={"fraction": 0.5}) == {}  # which types are held out is not known yet


class CachedFeatures(Training):
    """A training of which only the choice of the best epoch is run."""

    def __init__(self, scores: list[float | None], direction: int) -> None:
        task = SimpleNamespace(named=lambda name: name, metric="m", head=SimpleNamespace(type="text-regression"))
        self.plan: Any = SimpleNamespace(tasks=[task], train=SimpleNamespace(metric="x" if direction > 0 else "mse"))
        task.metric = self.plan.train.metric
        self.best = {"epoch": 0, "value": math.nan}
        self.network: Any = None
        self.scores = scores


@pytest.mark.parametrize(
    ("scores", "direction", "best"),
    [
        ([None, 0.5, None, 0.4], 1, 2),
        ([0.5, None, 0.6, None], 1, 3),
        ([0.5, None, 0.6, None], -1, 1),
        ([None, None, None], 1, 3),
        ([0.5, 0.5], 1, 1),
    ],
)
def test_no_epoch_is_chosen_by_a_score_that_it_lacks(
    scores: list[float | None], direction: int, best: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("graftc.compiler.training.loop.learned", lambda network, plan: {})
    monkeypatch.setattr("graftc.compiler.training.loop.direction", lambda plan: direction)
    training = CachedFeatures(scores, direction)
    for epoch, score in enumerate(scores, 1):
        training._keep_if_best(epoch, score)
    assert training.best["epoch"] == best


@pytest.mark.parametrize(
    ("scores", "is_stopped"),
    [([0.5, None, None], False), ([0.5, 0.4, None], False), ([0.5, 0.4, None, 0.3], True), ([None, None, None], False)],
)
def test_nothing_stops_by_epochs_without_a_score(
    scores: list[float | None], is_stopped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("graftc.compiler.training.loop.learned", lambda network, plan: {})
    monkeypatch.setattr("graftc.compiler.training.loop.direction", lambda plan: 1)
    training = CachedFeatures(scores, 1)
    training.plan.train.patience = 2
    training.history = [{"epoch": epoch, "x": score} for epoch, score in enumerate(scores, 1)]
    for epoch, score in enumerate(scores, 1):
        training._keep_if_best(epoch, score)
    assert training._is_stopped() == is_stopped
