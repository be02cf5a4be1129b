"""Answers: windows of a context, places of answers in them, the best span of all, and SQuAD's scores."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graftc
from graftc.compiler.execution.prepared import Examples
from graftc.compiler.heads import question_answering as head
from graftc.compiler.metrics import answers as scores
from graftc.runtime.heads.question_answering import Answer, decode
from graftc.runtime.inputs.text import Preprocessor
from graftc.runtime.rows import Rows
from graftc.runtime.verify import verify
from graftc.runtime.windows import located, nowhere, readable, spans

from ..backbones import tiny
from ..front import ground
from ..front.cli import Command
from ..train import running

FAMILIES = ("bert", "roberta", "xlm-roberta", "deberta-v2", "gpt2", "llama")
COLUMNS = {role: (role,) for role in ("question", "context", "answers")}
HANDBOOK = running.ROOT / "specs" / "data" / "handbook"
CONTEXT = "The parcel arrived late and the box was open. A man from Lund paid nine euros for the music on the stage."


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizers")
    for family in FAMILIES:
        tiny.tokenizer(family).save_pretrained(folder / family)
    return folder


def processor(folder: Path, length: int = 32, stride: int = 8) -> Preprocessor:
    record = {"tokenizer": "tokenizer.json", "is_pair": True, "max_length": length, "pad_id": 0, "has_offsets": True}
    return Preprocessor({**record, "stride": stride}, folder)


@pytest.mark.parametrize("family", FAMILIES)
def test_windows_cover_the_context_and_hold_the_answer(family: str, tokenizers: Path) -> None:
    rows = processor(tokenizers / family).rows([("Who paid?", CONTEXT), ("?", "short")])
    assert len(rows.of(0)) > 1
    assert max(len(row["input_ids"]) for row in rows.features) <= 32
    start = CONTEXT.index("man")
    seen: set[int] = set()
    held = []
    for i in rows.of(0):
        row = rows.features[i]
        seen |= {c for a, b in row["offsets"][readable(row)].tolist() for c in range(a, b)}
        if place := located(row, start, "man"):
            first, last = place
            held.append(CONTEXT[row["offsets"][first, 0] : row["offsets"][last, 1]])
    assert seen == {i for i, letter in enumerate(CONTEXT) if not letter.isspace()}
    assert set(held) == {"man"}


@pytest.mark.parametrize("family", FAMILIES)
def test_no_answer_has_a_place(family: str, tokenizers: Path) -> None:
    (row,) = processor(tokenizers / family).rows([("Who?", "Ada.")]).features
    last = len(row["input_ids"]) - 1
    assert nowhere(row) == (last if family in ("gpt2", "llama") else 0), "what reads from the left knows all at the end"


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("pair", [("", ""), ("", "a"), ("why", ""), ("w" * 200, CONTEXT), ("🙂" * 40, "数据")])
def test_odd_pairs_are_read_and_answered(family: str, tokenizers: Path, pair: tuple[str, str]) -> None:
    rows = processor(tokenizers / family).rows([pair])
    outputs = {
        name: [np.zeros(len(row["input_ids"])) for row in rows.features] for name in ("start_logits", "end_logits")
    }
    (found,) = decode(outputs, {"max_answer": 30}, rows)
    assert pair[1][found.start : found.end] == found.answer
    assert 0 < found.score <= 1


def feature(start: int, words: int) -> dict[str, np.ndarray]:
    """[CLS] q [SEP] and words of one letter with a space between, from a character on, [SEP]."""
    offsets = [(0, 0), (0, 1), (0, 0), *((start + 2 * i, start + 2 * i + 1) for i in range(words)), (0, 0)]
    sequences = [-1, 0, -1, *[1] * words, -1]
    return {"input_ids": np.arange(words + 4), "offsets": np.array(offsets), "sequences": np.array(sequences)}


ROWS = Rows([("q", "a b c d e f")], [feature(0, 4), feature(4, 4)], np.array([0, 0]))


def outputs(*peaks: tuple[int, int, int, float]) -> dict[str, list[np.ndarray]]:
    """Logits of both windows: (window, first token, last token, their sum)."""
    found = {name: [np.zeros(8), np.zeros(8)] for name in ("start_logits", "end_logits")}
    for window, first, last, value in peaks:
        found["start_logits"][window][first] += value / 2
        found["end_logits"][window][last] += value / 2
    return found


def test_an_answer_is_in_a_window_that_holds_all_of_it() -> None:
    one, other = ROWS.features
    assert located(one, 4, "c d") == (5, 6)
    assert located(other, 4, "c d") == (3, 4)
    assert located(other, 2, "b c") is None, "it begins before the window"
    assert located(one, 6, "d e") is None, "it ends behind the window"
    assert located(other, 3, " c ") == (3, 3), "white space at either end is none of it"


def test_the_token_that_stands_for_no_answer_is_none_by_itself() -> None:
    """Where nothing stands behind the context it is the context's last token, which may still end an answer."""
    found = feature(0, 3)
    bare = {name: values[:-1] for name, values in found.items()}
    assert nowhere(bare) == 5
    ends = np.array([0, 0, 0, 0, 0, 9.0])
    assert [(start, end) for _, start, end in spans(bare, ends, ends, 1)] == [(0, 1), (2, 3)]
    assert next(spans(bare, np.zeros(6), ends, 2))[1:] == (2, 5)


def test_the_best_span_of_all_windows_is_the_answer() -> None:
    given = outputs((0, 3, 4, 6.0), (1, 5, 6, 10.0))
    (found,) = decode(given, {"max_answer": 30}, ROWS)
    assert (found.answer, found.start, found.end) == ("e f", 8, 11)
    assert found.score > 0.5
    (ranked,) = decode(given, {"max_answer": 30}, ROWS, top_k=3)
    assert len(ranked) == 3
    assert ranked[0] == found
    (short,) = decode(given, {"max_answer": 1}, ROWS)
    assert len(short.answer) == 1


def test_no_answer_is_answered_beyond_the_threshold() -> None:
    given = outputs((0, 0, 0, 9.0), (1, 0, 0, 7.0), (1, 5, 6, 6.0))  # none: the lesser of 9 and 7
    for threshold, answer in ((0.5, ""), (1.5, "e f"), (None, "e f")):
        (found,) = decode(
            given, {"max_answer": 30, **({} if threshold is None else {"null_threshold": threshold})}, ROWS
        )
        assert found.answer == answer
    assert isinstance(found, Answer)


def test_targets_are_places_or_nowhere() -> None:
    row = {"question": "q", "context": "a b c d e f", "answers": [{"text": "e f", "answer_start": 8}]}
    targets = head.target({}, row, COLUMNS, ROWS.features)
    assert [t.tolist() for t in targets] == [[0, 0], [5, 6]]
    assert [t.tolist() for t in head.target({}, row | {"answers": []}, COLUMNS, ROWS.features)] == [[0, 0]] * 2


@pytest.mark.parametrize(
    ("given", "true", "exact", "f1"),
    [
        ("the Eiffel Tower!", ["Eiffel tower"], 1, 1),
        ("in Paris", ["Paris", "London"], 0, 2 / 3),
        ("a b b c", ["b b d"], 0, 4 / 6),  # `a` is an article: 2 words shared of 3 and 3
        ("", [], 1, 1),
        ("Paris", [], 0, 0),
        ("", ["Paris"], 0, 0),
    ],
)
def test_scores_are_squads(given: str, true: list[str], exact: float, f1: float) -> None:
    assert (scores.exact(given, true), scores.f1(given, true)) == (exact, pytest.approx(f1))


def test_scores_of_windows_and_the_threshold() -> None:
    reference = {"context": "a b c d e f", "answers": [[8, "e f"]]}
    nothing = {"context": "a b c d e f", "answers": []}
    both = Examples(np.zeros((4, 2)), np.array([0, 0, 1, 1]), [reference, nothing], [*ROWS.features] * 2)
    one, other = (
        outputs((1, 5, 6, 6.0), (0, 0, 0, 2.0), (1, 0, 0, 2.0)),
        outputs((1, 5, 6, 4.0), (0, 0, 0, 3.0), (1, 0, 0, 3.0)),
    )
    given = {name: one[name] + other[name] for name in one}
    record = {"max_answer": 30, "null_threshold": 0.0}
    report = scores.report(record, given, both)
    assert (report["f1"], report["exact_match"]) == (0.5, 0.5)
    assert report["unanswerable"] == {"f1": 0.0, "exact_match": 0.0, "number": 1}
    calibrated = scores.calibrate(record, given, both)
    assert -4 < calibrated["null_threshold"] < -1
    assert scores.one("f1", record | calibrated, given, both) == 1


GOOD = {"question": "Who?", "context": "Ada left.", "answers": {"text": ["Ada"], "answer_start": [0]}}
BAD = {
    "another place": ("E0364", {"answers": {"text": ["Ada"], "answer_start": [4]}}),
    "nowhere": ("E0364", {"answers": [{"text": "Tom", "answer_start": 0}]}),
    "before the text": ("E0364", {"answers": {"text": ["Ada"], "answer_start": [-9]}}),
    "lists of two lengths": ("E0313", {"answers": {"text": ["Ada"], "answer_start": []}}),
    "a place in words": ("E0313", {"answers": {"text": ["Ada"], "answer_start": ["0"]}}),
    "an empty answer": ("E0313", {"answers": {"text": [""], "answer_start": [0]}}),
    "a text": ("E0313", {"answers": "Ada"}),
    "nothing": ("E0313", {"answers": None}),
    "an empty context": ("E0313", {"context": " "}),
    "a question that is a number": ("E0313", {"question": 3}),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    ground.lay(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys)


def check(command: Command, rows: list[dict[str, Any]], data: str = "", task: str = "question-answering") -> Any:
    Path("rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    Path("spec.yaml").write_text(ground.replaced(f"head: {{type: {task}}}\ndata: {{train: rows.jsonl{data}}}\n"))
    return command("validate", "spec.yaml")


@pytest.mark.parametrize("case", BAD)
def test_bad_rows_are_told_with_their_place(case: str, folder: Path, command: Command) -> None:
    code, changes = BAD[case]
    answer = check(command, [*[GOOD | {"question": f"Who {i}?"} for i in range(9)], GOOD | changes])
    assert (answer.status, [c for c in answer.codes if c[0] == "E"]) == (1, [code])
    assert answer.findings[0].place == "rows.jsonl:10"


def test_windows_need_room_and_a_head_that_reads_them(folder: Path, command: Command) -> None:
    assert check(command, [GOOD], ", max_length: 32, stride: 15").status == 0
    assert check(command, [GOOD], ", max_length: 32, stride: 16").codes[0] == "E0365"
    assert check(command, [GOOD], ", max_length: 8").codes[0] == "E0365"
    assert "E0315" in check(command, [GOOD | {"answers": []}]).codes
    rows = [{"text": f"{label} {i}", "label": label} for i in range(9) for label in ("x", "y")]
    assert "E0209" in check(command, rows, ", stride: 8", "text-classification").codes


@pytest.mark.parametrize("family", ["bert", "gpt2"])
def test_it_becomes_a_bundle(family: str, tmp_path: Path) -> None:
    tiny.save(family, tmp_path / "backbone")
    spec = running.write_spec(
        tmp_path, backbone={"from": "./backbone"}, head={"type": "question-answering"},
        data={"train": str(HANDBOOK / "train.jsonl"), "validation": str(HANDBOOK / "validation.jsonl"), "max_length": 48},
        train={"max_steps": 4, "batch_size": 8},
    )  # fmt: skip
    built = graftc.build(spec, tmp_path / "bundle", tmp_path / "store")
    assert list(verify(built.folder)) == ["fp32"]
    manifest = json.loads((built.folder / "manifest.json").read_bytes())
    assert manifest["gates"]["parity"]["worst"] < 1e-4
    torch, onnx = (manifest["metrics"]["validation"][runner] for runner in ("torch", "fp32"))
    assert torch["f1"] == pytest.approx(onnx["f1"], abs=0.01)
    card = (built.folder / "README.md").read_text(encoding="utf-8")
    assert "are read in windows" in card
    assert "are cut" not in card
    words = ["Who paid?", CONTEXT, "", ""]
    said = subprocess.run(
        [sys.executable, str(built.folder / "predict.py"), *words], capture_output=True, text=True, check=True
    )
    first, second = (json.loads(line) for line in said.stdout.splitlines())
    assert CONTEXT[first["start"] : first["end"]] == first["answer"]
    assert second["answer"] == ""
    assert len(graftc.load(built.folder).predict(("Who paid?", CONTEXT), top_k=3)) == 3
