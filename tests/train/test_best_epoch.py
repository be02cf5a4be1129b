"""The epoch that is kept is the best by the answers that a bundle gives, with the thresholds that it gets."""

from __future__ import annotations

import json
from pathlib import Path

from ..heads import building


def test_epochs_of_several_labels_are_compared_by_the_thresholds_of_the_bundle(tmp_path: Path) -> None:
    topics = {"refund": "I was billed twice this month", "delivery": "the parcel arrived late"}
    rows = [
        {"text": f"{text}, {i}", "labels": [label] if i % 3 else []}
        for i in range(12)
        for label, text in topics.items()
    ]
    building.write_rows(tmp_path / "rows.jsonl", rows)
    data = {
        "train": "rows.jsonl",
        "validation": "rows.jsonl",
        "columns": {"text": "text", "labels": "labels"},
        "max_length": 32,
    }
    bundle = building.bundle(
        tmp_path, "bert", {"type": "text-classification"}, data, train={"epochs": 3, "learning_rate": 1e-5}
    )
    (kept,) = tmp_path.glob("store/**/history.json")
    history = json.loads(kept.read_bytes())
    values = {epoch["epoch"]: epoch["f1_macro"] for epoch in history["epochs"]}
    scores = json.loads((bundle / "manifest.json").read_bytes())["metrics"]["validation"]["torch"]
    assert scores["f1_macro"] == values[history["best_epoch"]] == max(values.values()) > 0
