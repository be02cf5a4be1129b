"""Labels as files have them: lists in cells, places of zeros and ones, a column for each, and kinds that are mixed."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graftc.compiler.facts.rows import Unusable
from graftc.compiler.facts.spelling import folded, otherwise
from graftc.compiler.heads import _lists
from graftc.compiler.heads._labels import label_word, read_labels
from graftc.compiler.heads.text_classification import HEAD

from . import ground
from .cli import Answer, Command

NAMES = ("rude", "threat", "insult")
SETS = [("rude",), (), ("rude", "insult"), ("threat",), NAMES, ("insult",)]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    ground.lay(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def asked(graftc: Command, head: str, data: str) -> Answer:
    """What `plan --json` says of the ground's spec with another head and other data."""
    fragment = f"head:\n  type: text-classification\n{head}data:\n{data}  max_length: 64\ntrain:\n  batch_size: 2\n"
    Path("spec.yaml").write_text(ground.replaced(fragment), encoding="utf-8")
    return graftc("plan", "--json", "spec.yaml")


def labels(answer: Answer) -> list[str]:
    assert answer.status == 0, answer.err
    found: list[str] = json.loads(answer.out)["tasks"][0]["head"]["record"]["labels"]
    return found


def cells(forms: Sequence[str], name: str = "rows.csv") -> None:
    import csv

    with Path(name).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "labels"])
        writer.writerows([f"comment {i}", form] for i, form in enumerate(forms))


def lines(name: str, key: str, values: Sequence[Any]) -> None:
    rows = ({"text": f"comment {i}", key: value} for i, value in enumerate(values))
    Path(name).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@pytest.mark.parametrize(
    "form",
    [
        lambda found: str(list(found)),
        lambda found: json.dumps(found),
        lambda found: str(tuple(found)),
        lambda found: str(set(found)),
        lambda found: "|".join(found),
        lambda found: " | ".join(found),
    ],
    ids=["Python", "JSON", "tuple", "set", "bars", "spaced bars"],
)
def test_lists_in_cells_are_read(form: Any, folder: Path, graftc: Command) -> None:
    cells([form(found) for found in SETS * 2])
    answer = asked(graftc, "", "  train: rows.csv\n  columns: {labels: labels}\n")
    assert labels(answer) == ["insult", "rude", "threat"]


@pytest.mark.parametrize("cell", ["['rude' 'insult']", "[0 1 0]", "[0. 1.]", "[rude, insult]", "array(['a', 'b'], dtype=object)", "['rude', 'ins"])  # fmt: skip
def test_what_is_nearly_a_list_is_refused_with_a_way_out(cell: str, folder: Path, graftc: Command) -> None:
    cells(["rude|insult", "threat", cell])
    answer = asked(graftc, "", "  train: rows.csv\n  columns: {labels: labels}\n")
    if cell.endswith("ins"):  # a bracket alone is a label
        assert answer.status == 0
        return
    assert (answer.status, answer.codes[0], answer.findings[0].place) == (1, "E0313", "rows.csv:4")
    assert "write lists with commas" in answer.findings[0].notes


def test_a_list_is_not_one_label(folder: Path, graftc: Command) -> None:
    cells(["rude", "threat", "['rude', 'threat']", '["rude"]'])
    answer = asked(graftc, "", "  train: rows.csv\n  columns: {label: labels}\n")
    assert (answer.codes[0], answer.findings[0].place) == ("E0313", "rows.csv:4")
    assert "`labels: labels` under `data.columns` reads them" in answer.findings[0].notes


@given(st.lists(st.text(max_size=8) | st.integers() | st.booleans(), max_size=5))
@settings(max_examples=300, deadline=None, database=None)
def test_every_list_that_python_and_json_write_is_read(items: list[Any]) -> None:
    assert _lists.listed(str(items)) == tuple(items)
    assert _lists.listed(json.dumps(items)) == tuple(items)
    assert _lists.listed(str(tuple(items))) == tuple(items)


@given(st.text(alphabet="ab'\"[](){},0 1\\\n", max_size=12))
@settings(max_examples=500, deadline=None, database=None)
def test_no_text_breaks_the_reading_of_lists(text: str) -> None:
    found = _lists.listed(text)
    if found is not None and text.strip() != "set()":
        assert len(found) <= text.count(",") + 1, "two texts without a comma are not one"
    _lists.is_like_a_list(text)
    assert isinstance(read_labels(text, "c", True), tuple | Unusable)


HOT = [[int(name in found) for name in NAMES] for found in SETS * 2]
FORMS: dict[str, Any] = {
    "numbers": lambda hot: hot,
    "floats": lambda hot: [float(bit) for bit in hot],
    "truths": lambda hot: [bool(bit) for bit in hot],
    "texts": lambda hot: [str(bit) for bit in hot],
    "a text": lambda hot: str(hot),
    "bars": lambda hot: "|".join(map(str, hot)),
}


@pytest.mark.parametrize("form", FORMS)
def test_places_of_zeros_and_ones_take_the_names_of_the_labels(form: str, folder: Path, graftc: Command) -> None:
    lines("rows.jsonl", "labels", [FORMS[form](hot) for hot in HOT])
    data = "  train: rows.jsonl\n"
    assert labels(asked(graftc, "  labels: [rude, threat, insult]\n", data)) == list(NAMES)
    refused = asked(graftc, "", data)
    assert (refused.status, refused.codes[0], refused.findings[0].place) == (1, "E0396", "rows.jsonl:1")
    assert "write `head.labels" in refused.findings[0].notes
    fewer = asked(graftc, "  labels: [rude, threat]\n", data)
    assert "E0396" in fewer.codes
    assert "which are 2" in fewer.findings[0].notes


def test_a_place_is_the_label_of_its_number() -> None:
    record = {"is_multi": True, "labels": ["b", "a", "c"]}
    columns = {"labels": ("labels",)}
    for hot in ([1, 0, 0], [0.0, 1.0, 1.0], "[0, 0, 1]", [True, True, True]):
        (target,) = HEAD.target(record, {"labels": hot}, columns, [])
        assert target.tolist() == [float(bit) for bit in (json.loads(hot) if isinstance(hot, str) else hot)]
    (target,) = HEAD.target(record, {"labels": ["a"]}, columns, [])
    assert target.tolist() == [0, 1, 0]


def test_two_zeros_and_ones_may_be_labels_or_places(folder: Path, graftc: Command) -> None:
    data = "  train: rows.jsonl\n"
    lines("rows.jsonl", "labels", [[0, 1], [1, 0]] * 4)
    assert asked(graftc, "", data).codes[0] == "E0396", "nobody can tell"
    assert labels(asked(graftc, "  labels: [yes, no]\n", data)) == ["yes", "no"]
    lines("rows.jsonl", "labels", [[0], [1], [0, 1], []] * 3)
    assert labels(asked(graftc, "", data)) == ["0", "1"], "lists of labels that are numbers"
    lines("rows.jsonl", "labels", [[0, 27], [1], [3, 1], []] * 3)
    assert labels(asked(graftc, "", data)) == ["0", "1", "3", "27"]
    assert labels(asked(graftc, "  labels: [0, 1, 3, 27]\n", data)) == ["0", "1", "3", "27"]


@pytest.mark.parametrize("values", [(0, 1), (False, True), ("0", "1"), ("false", "True"), (0.0, 1.0), ("0.0", "1.0")])
def test_a_column_for_each_label(values: tuple[Any, Any], folder: Path, graftc: Command) -> None:
    rows = [{"text": f"comment {i}", **{n: values[n in found] for n in NAMES}} for i, found in enumerate(SETS * 2)]
    Path("rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    data = "  train: rows.jsonl\n  columns: {labels: [threat, rude, insult]}\n"
    assert labels(asked(graftc, "", data)) == ["threat", "rude", "insult"], "in the order of the columns"
    assert labels(asked(graftc, "  labels: [rude, insult, threat]\n", data)) == ["rude", "insult", "threat"]
    record: dict[str, Any] = {"is_multi": True, "labels": ["rude", "insult", "threat"]}
    for row, found in zip(rows, SETS * 2, strict=True):
        (target,) = HEAD.target(record, row, {"labels": ("threat", "rude", "insult")}, [])
        np.testing.assert_array_equal(target, [name in found for name in record["labels"]])


@pytest.mark.parametrize("value", [2, -1, 0.5, "yes", "x", "", None, [1], {"a": 1}, "01", "nan", " 1"])
def test_a_column_of_a_label_holds_nothing_else(value: Any, folder: Path, graftc: Command) -> None:
    rows = [{"text": f"comment {i}", "rude": i % 2, "threat": int(i % 3 == 0)} for i in range(12)]
    rows[4]["threat"] = value
    Path("rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    answer = asked(graftc, "", "  train: rows.jsonl\n  columns: {labels: [rude, threat]}\n")
    found = answer.findings[0]
    assert (answer.status, found.code, found.place) == (1, "E0313", "rows.jsonl:5"), answer.err
    assert found.headline == f"`threat` {'is missing' if value in (None, '') else 'is neither 0 nor 1, true nor false'}"


def test_a_column_that_no_row_has_is_told_at_its_name(folder: Path, graftc: Command) -> None:
    rows = [{"text": f"comment {i}", "rude": i % 2, "threat": 0} for i in range(12)]
    Path("rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    answer = asked(graftc, "", "  train: rows.jsonl\n  columns: {labels: [rude, threat]}\n")
    assert (answer.codes[0], answer.findings[0].under) == ("E0314", "threat")


@pytest.mark.parametrize(
    ("values", "expected", "codes"),
    [
        ([0.0, 1.0], ["0", "1"], []),
        ([0, 1.0], ["0", "1"], []),
        ([0, "1"], ["0", "1"], ["W0394"]),
        ([True, False, 1, 0], ["0", "1", "false", "true"], ["W0394"]),
        (["0.0", "0", "1"], ["0", "1", "0.0"], ["W0319"]),
        (["spam", "ham ", " spam", "ham"], [" spam", "ham", "ham ", "spam"], ["W0319", "W0319"]),
        ([" spam", "ham"], [" spam", "ham"], ["W0392"]),
        (["spam", "nan", "ham"], ["ham", "nan", "spam"], ["W0393"]),
        (["none", "some"], ["none", "some"], []),
    ],
)
def test_kinds_and_blanks_are_told(
    values: list[Any], expected: list[str], codes: list[str], folder: Path, graftc: Command
) -> None:
    lines("rows.jsonl", "label", values * 8)
    answer = asked(graftc, "", "  train: rows.jsonl\n  validation: {fraction: 0.3}\n")
    assert labels(answer) == expected
    assert [code for code in answer.codes if code not in ("W0314", "W0316", "W0318")] == codes, answer.err
    assert "help: write ` " not in answer.err, "no label that begins with a blank is proposed"


@pytest.mark.parametrize(
    ("train", "other", "way"),
    [
        (["0.0", "1.0"], [0, 1], "the training rows write it `0.0`: write it one way in both"),
        (["False", "True"], [False, True], "the training rows write it `False`: write it one way in both"),
        (["spam", "ham"], [" spam", "ham"], "the training rows write it `spam`: write it one way in both"),
        (["spam", " ham"], ["spam", "hamm"], "add such rows to the training data"),
    ],
)
def test_a_label_of_another_spelling_is_told_from_a_strange_one(
    train: list[Any], other: list[Any], way: str, folder: Path, graftc: Command
) -> None:
    lines("train.jsonl", "label", train * 12)
    lines("validation.jsonl", "label", other * 12)
    answer = asked(graftc, "", "  train: train.jsonl\n  validation: validation.jsonl\n")
    assert answer.codes[0] == "E0314"
    assert way in answer.findings[0].notes


def test_written_labels_are_told_how_the_rows_write_them(folder: Path, graftc: Command) -> None:
    lines("train.jsonl", "label", ["0.0", "1.0"] * 12)
    answer = asked(graftc, "  labels: [0, 1]\n", "  train: train.jsonl\n")
    assert [found.code for found in answer.findings if found.code.startswith("E")] == ["E0314", "E0314"]
    assert "the training rows write it `0.0`" in answer.findings[0].notes
    assert labels(asked(graftc, '  labels: ["0.0", "1.0"]\n', "  train: train.jsonl\n")) == ["0.0", "1.0"]


def test_spellings() -> None:
    assert otherwise("spam", [" spam", "Spam"]) == "Spam", "one without a blank first"
    assert not otherwise("spam", ["spam", "ham"])
    chance = random.Random(0)
    for _ in range(200):
        number = chance.randint(-9999, 9999)
        assert folded(f" {number}.00") == folded(str(number)) == label_word(float(number))
