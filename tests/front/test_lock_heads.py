"""Locks of specs with several heads: what each reads is pinned for itself, and planned without the data."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from graftc.compiler.language.source import read
from graftc.compiler.locking.lock import signature
from graftc.compiler.locking.locked import read_lock
from graftc.compiler.planning.plan import read_plan

from . import ground
from .cli import Command
from .test_golden import compare

LOCK = "spec.lock.yaml"
MOODS = ("calm", "cross")
HEADS = """\
heads:
  topic:
    type: text-classification
  mood:
    type: text-classification
    weight: 0.5
    data: {columns: {label: mood}}
  place:
    type: token-classification
    adapt: own
    data:
      train: places.jsonl
      validation: more.jsonl
      columns: {text: text, spans: spans}
data:
  train: train.jsonl
  validation: {fraction: 0.2}
  columns: {text: text}
  max_length: 64
"""


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, graftc: Command) -> Path:
    """A folder with a spec of three heads, two of which read one table, and its lock."""
    ground.lay(tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("GRAFTC_STORE", str(tmp_path / "store"))
    rows = [dict(row) for row in ground.rows()]
    for i, row in enumerate(rows):
        row |= {"mood": MOODS[i % 2]} if i % 5 else {}
    del rows[1]["label"]
    write(Path("train.jsonl"), rows)
    spans = [{"start": 0, "end": 3, "label": "who"}]
    places = [{"text": row["text"], "spans": spans} for row in rows]
    write(Path("places.jsonl"), places[:20])
    write(Path("more.jsonl"), places[20:40])
    Path("spec.yaml").write_text(ground.replaced(HEADS))
    answer = graftc("lock", "spec.yaml")
    assert answer.status == 0, answer.err
    assert answer.out == (
        "spec.lock.yaml: 3 files of the backbone, 74 train rows of topic; 60 train rows of mood;"
        " 20 train rows, 20 validation rows of place\n"
    )
    return tmp_path / "here"


def edited(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    values = yaml.safe_load((folder / "spec.yaml").read_text())
    change(values)
    (folder / "spec.yaml").write_text(yaml.safe_dump(values, sort_keys=False))


def test_the_file_says_of_each_head_what_a_reviewer_asks(folder: Path, graftc: Command) -> None:
    first = (folder / LOCK).read_bytes()
    assert graftc("lock", "spec.yaml").status == 0
    assert (folder / LOCK).read_bytes() == first
    written = yaml.safe_load(first)
    assert not written.keys() & {"task", "labels", "data"}
    assert [head["task"] for head in written["heads"].values()] == ["text-classification"] * 2 + [
        "token-classification"
    ]
    assert written["heads"]["mood"]["labels"] == list(MOODS)
    assert written["heads"]["mood"]["data"]["columns"] == {"label": ["mood"], "text": ["text"]}
    assert written["heads"]["mood"]["data"]["splits"][0]["tally"]["counts"] == ["30 calm", "30 cross"]
    tables = [head["data"]["splits"][0]["tables"][0] for head in written["heads"].values()]
    assert tables[0] == tables[1] != tables[2]
    shared = {tuple(each["heads"]): each["rows"] for each in written["together"]}
    assert shared == {("topic", "mood"): 59, ("topic",): 15, ("mood",): 1}
    assert graftc("validate", "--locked", "spec.yaml").status == 0


def test_a_plan_without_data_is_the_plan_with_it(folder: Path, graftc: Command) -> None:
    with_data = graftc("plan", "--json", "spec.yaml").out
    for name in ("train.jsonl", "places.jsonl", "more.jsonl"):
        (folder / name).unlink()
    assert set(graftc("plan", "spec.yaml").codes) == {"E0310"}
    without = graftc("plan", "--json", "--no-data", "spec.yaml")
    assert without.out == with_data, without.err
    pinned = graftc("plan", "--json", "--no-data", "--locked", "spec.yaml").out
    assert read_plan(pinned, "plan").sha256 == read_plan(with_data, "plan").sha256
    assert graftc("validate", "--no-data", "--locked", "spec.yaml").status == 0


STAGE = {"objective": "contrastive", "data": {"train": "corpus.jsonl", "test": "more.jsonl", "max_length": 64}}


def test_stages_before_several_heads_and_heads_without_answers_are_planned_without_data(
    folder: Path, graftc: Command
) -> None:
    write(folder / "corpus.jsonl", [{"text": f"{row['text']} at noon"} for row in ground.rows()])
    edited(folder, lambda s: s.update(pretrain=[STAGE]))
    edited(folder, lambda s: s["heads"].update(vector={"type": "feature-extraction"}))
    assert graftc("lock", "spec.yaml").status == 0
    lock = read_lock(read(folder / "spec.yaml")).lock
    assert {each.heads for each in lock.together or ()} == {
        ("topic", "mood", "vector"), ("topic", "vector"), ("mood", "vector"),
    }  # fmt: skip
    with_data = graftc("plan", "--json", "spec.yaml").out
    for path in folder.glob("*.jsonl"):
        path.unlink()
    without = graftc("plan", "--json", "--no-data", "spec.yaml")
    assert without.out == with_data, without.err


def test_a_table_of_several_heads_that_changed_is_named_once(folder: Path, graftc: Command) -> None:
    path = folder / "train.jsonl"
    path.write_text(path.read_text().replace("the manager was charged", "a manager was charged", 1))
    answer = graftc("validate", "--locked", "spec.yaml")
    assert (answer.status, answer.codes) == (1, ["E0345"])
    assert "train.jsonl" in answer.findings[0].headline
    assert len(answer.findings[0].under) == 64


def test_the_label_map_of_one_head_is_told_with_its_name(folder: Path, graftc: Command) -> None:
    path = folder / "train.jsonl"
    path.write_text(path.read_text() + '{"text": "it is lost", "label": "bug", "mood": "glad"}\n')
    answer = graftc("validate", "--locked", "spec.yaml")
    assert (answer.status, answer.codes) == (1, ["E0345", "E0346", "W0313"])
    compare("lock_heads", answer.err)


EDITS: list[tuple[str, Callable[[dict[str, Any]], object], list[str], list[str]]] = [
    ("a weight", lambda s: s["heads"]["mood"].update(weight=2.0), [], ["E0343"]),
    ("own adapters", lambda s: s["heads"]["mood"].update(adapt="own"), [], ["E0343"]),
    ("the order", lambda s: s["heads"].update(topic=s["heads"].pop("topic")), [], ["E0343"]),
    ("a label", lambda s: s["heads"]["mood"].update(labels=["calm", "crass"]), ["E0314"], ["E0314", "E0343"]),
    ("a column", lambda s: s["heads"]["mood"]["data"]["columns"].update(label="label"), ["E0348"], ["E0343"]),
    ("the shared data", lambda s: s["data"].update(max_length=32), ["E0348"] * 3, ["E0343"]),
    ("no head", lambda s: s["heads"].pop("place"), ["E0348"], ["E0343"]),
    ("another head", lambda s: s["heads"].update(more=dict(s["heads"]["topic"])), ["E0348"], ["E0343"]),
    ("another type", lambda s: s["heads"]["mood"].update(type="text-regression"), ["E0348"], ["E0343"]),
]  # fmt: skip


@pytest.mark.parametrize("case", EDITS, ids=[case[0] for case in EDITS])
def test_what_changed_in_the_spec(case: Any, folder: Path, graftc: Command) -> None:
    """Without the data, what each head reads must be as it was; the rest is held to the lock where that is asked."""
    _, change, without, locked = case
    edited(folder, change)
    answer = graftc("validate", "--no-data", "spec.yaml")
    assert [code for code in answer.codes if code.startswith("E")] == without, answer.err
    answer = graftc("validate", "--locked", "spec.yaml")
    assert set(locked) <= set(answer.codes), answer.err


SPOILT = [
    lambda s: s.update(heads=None),
    lambda s: s.update(heads=[]),
    lambda s: s.update(heads={"mood": None}),
    lambda s: s["heads"].update(mood={"type": "text-classification", "data": 3}),
    lambda s: s.update(data=None),
    lambda s: s["heads"]["mood"].update(type="text"),
]


@pytest.mark.parametrize("flags", [["--locked"], ["--no-data"], ["--locked", "--no-data"]])
@pytest.mark.parametrize("change", SPOILT, ids=range(len(SPOILT)))
def test_a_spoilt_spec_is_told_as_without_a_lock(
    change: Callable[[dict[str, Any]], object], flags: list[str], folder: Path, graftc: Command
) -> None:
    edited(folder, change)
    without = graftc("validate", "spec.yaml")
    answer = graftc("validate", *flags, "spec.yaml")
    assert answer.status == without.status == 1, answer.err
    assert {code for code in without.codes if code < "E03"} <= set(answer.codes)


def test_the_lock_of_one_head_says_nothing_of_several(folder: Path, graftc: Command) -> None:
    heads = (folder / "spec.yaml").read_text()
    (folder / "spec.yaml").write_text(ground.SPEC)
    assert set(graftc("validate", "--no-data", "spec.yaml").codes) == {"E0348"}
    kept = (folder / "train.jsonl").read_text()
    write(folder / "train.jsonl", ground.rows()[:60])
    assert graftc("lock", "spec.yaml").status == 0
    (folder / "spec.yaml").write_text(heads)
    (folder / "train.jsonl").write_text(kept)
    assert set(graftc("validate", "--no-data", "spec.yaml").codes) == {"E0348"}
    assert set(graftc("validate", "--locked", "spec.yaml").codes) == {"E0343"}


def test_a_lock_of_no_head_is_none(folder: Path, graftc: Command) -> None:
    lock = read_lock(read(folder / "spec.yaml")).lock
    for heads in (None, {}):
        other = lock.model_copy(update={"heads": heads})
        other = other.model_copy(update={"sha256": signature(other)})
        (folder / LOCK).write_text(other.text("spec.yaml"), encoding="utf-8")
        answer = graftc("validate", "--no-data", "spec.yaml")
        assert (answer.status, answer.codes) == (1, ["E0341"]), answer.err
