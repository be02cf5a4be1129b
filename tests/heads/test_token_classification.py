"""Entities: words and their tags become targets, logits become spans, and both meet in the scores."""

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
from graftc.compiler.facts.rows import Unusable
from graftc.compiler.heads import _entities, _tags, token_classification
from graftc.compiler.metrics import entities as scores
from graftc.runtime.errors import BundleError
from graftc.runtime.heads.token_classification import Answer, decode
from graftc.runtime.inputs.text import Preprocessor
from graftc.runtime.rows import Rows, one_each
from graftc.runtime.spans import entities, placed, tags
from graftc.runtime.verify import verify

from ..backbones import tiny
from ..front import ground
from ..front.cli import Command
from ..train import running
from . import building

LABELS = ("O", "B-person", "I-person", "B-place", "I-place")
TRIPS = running.ROOT / "specs" / "data" / "trips"
FAMILIES = ("bert", "roberta", "xlm-roberta", "deberta-v2", "gpt2", "llama")


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizers")
    for family in FAMILIES:
        tiny.tokenizer(family).save_pretrained(folder / family)
    return folder


def processor(folder: Path, **more: Any) -> Preprocessor:
    record = {"tokenizer": "tokenizer.json", "is_pair": False, "max_length": 64, "pad_id": 0, "has_offsets": True}
    return Preprocessor(record | more, folder)


@pytest.mark.parametrize("family", FAMILIES)
def test_words_are_the_same_in_every_family(family: str, tokenizers: Path) -> None:
    text = "  Ada Lovell-Smith lives\tin Paris, (near us)."
    row = processor(tokenizers / family).rows([text]).features[0]
    _, places = placed(row)
    words = [text[a:b] for a, b in places.tolist()]
    assert words == ["Ada", "Lovell", "-", "Smith", "lives", "in", "Paris", ",", "(", "near", "us", ")", "."]
    spans = [(2, 18, "person"), (text.index("Paris"), text.index("Paris") + 5, "place")]
    found = tags(places, spans)
    assert found[:4] == ["B-person", "I-person", "I-person", "I-person"]
    assert found[6:8] == ["B-place", "O"]
    back = [(int(places[a, 0]), int(places[b - 1, 1]), label) for a, b, label in entities(found)]
    assert back == spans, "what is decoded is what was marked"


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("text", ["", " ", "\n", "🙂", "数据", "a" * 300])
def test_odd_texts_have_places(family: str, tokenizers: Path, text: str) -> None:
    row = processor(tokenizers / family).rows([text]).features[0]
    firsts, places = placed(row)
    assert {len(values) for values in row.values()} == {len(row["input_ids"])}
    assert len(firsts) == len(places) == len(np.unique(row["words"][row["words"] >= 0]))
    assert all(text[a:b].strip() for a, b in places.tolist())


def targets(folder: Path, row: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """The targets of a row, and the first token of each word."""
    columns = {role: (role,) for role in row}
    features = processor(folder).rows([_entities.raw(row, columns, Path())]).features
    (target,) = token_classification.target({"labels": LABELS}, row, columns, features)
    return target, placed(features[0])[0]


def test_a_words_first_token_has_its_tag(tokenizers: Path) -> None:
    row = {"tokens": ["Zoe", "Quux", "saw", "Lima"], "tags": ["B-person", "I-person", "O", "B-place"]}
    target, firsts = targets(tokenizers / "bert", row)
    assert target[firsts].tolist() == [1, 2, 0, 3]
    assert (np.delete(target, firsts) == -100).all()
    assert len(target) > 6, "letters, and a token at both ends"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("@Zoe saw http://t.co/x_y.", ["@Zoe", "saw", "http://t.co/x_y", "."]),
        ("(Lima) Nex-Tech's U.S. #Lima", ["(", "Lima", ")", "Nex-Tech", "'", "s", "U.S", ".", "#Lima"]),
        ("Lima, -Lima x--y ...", ["Lima", ",", "-", "Lima", "x--y", ".", ".", "."]),
    ],
)
@pytest.mark.parametrize("family", FAMILIES)
def test_marks_inside_words_join_where_data_has_words(
    family: str, tokenizers: Path, text: str, expected: list[str]
) -> None:
    feature, apart = (processor(tokenizers / family, is_joined=j).rows([text]).features[0] for j in (True, False))
    _, places = placed(feature)
    assert [text[start:end] for start, end in places.tolist()] == expected
    assert len(placed(apart)[0]) > len(expected)


def test_words_are_joined_where_the_data_has_words_alone() -> None:
    options = token_classification.Options()
    for columns, is_joined in (({"tokens": ("tokens",), "tags": ("tags",)}, True), ({"text": ("text",)}, False)):
        assert token_classification.reads(options, None, columns).get("is_joined", False) is is_joined


def test_a_divided_word_has_one_tag_unless_it_is_an_entity(tokenizers: Path) -> None:
    row = {"tokens": ["see", "@b.c", "A-b", "it"], "tags": ["O", "O", "B-person", "O"]}
    target, firsts = targets(tokenizers / "bert", row)
    assert target[firsts].tolist() == [0, 0, -100, -100, -100, 1, 2, 2, 0]


def test_every_word_of_a_text_with_spans_has_a_tag(tokenizers: Path) -> None:
    row = {"text": "see @b.c it", "spans": [{"start": 5, "end": 6, "label": "person"}]}
    target, firsts = targets(tokenizers / "bert", row)
    assert target[firsts].tolist() == [0, 0, 1, 0, 0, 0]


@pytest.mark.parametrize(
    ("sequence", "expected"),
    [
        (["B-a", "I-a", "B-a", "O"], [(0, 2, "a"), (2, 3, "a")]),
        (["U-a", "B-b", "I-b", "L-b"], [(0, 1, "a"), (1, 4, "b")]),
        (["S-a", "O", "B-b", "E-b"], [(0, 1, "a"), (2, 4, "b")]),
        (["O", "O"], []),
    ],
)
def test_schemes_are_told_apart(sequence: list[str], expected: list[Any]) -> None:
    assert _tags.read(sequence)[0] == expected


@pytest.mark.parametrize(
    "sequence", [["I-a", "O", "B-a"], ["B-a", "I-b"], ["B-"], ["person"], ["X-a"], ["B-a", "L-b"], ["B-a", "U-a"], ["L-a"], ["B-a", "O", "U-a"]]
)  # fmt: skip
def test_what_no_scheme_allows_is_refused(sequence: list[str]) -> None:
    with pytest.raises(_tags.Broken, match="tag"):
        _tags.read(sequence)


def hot(*tags: int) -> np.ndarray:
    """Logits whose likeliest tags are these, by a factor of e⁴."""
    found = np.zeros((len(tags), len(LABELS)), np.float32)
    found[range(len(tags)), tags] = 4.0
    return found


def feature(*words: int, offsets: list[tuple[int, int]]) -> dict[str, np.ndarray]:
    return {"input_ids": np.arange(len(words)), "offsets": np.array(offsets), "words": np.array(words)}


TEXT = "Ada Lovell saw Lima"
FEATURE = feature(-1, 0, 1, 1, 2, 3, -1, offsets=[(0, 0), (0, 3), (4, 7), (7, 10), (11, 14), (15, 19), (0, 0)])


def test_entities_are_decoded() -> None:
    logits = hot(3, 1, 2, 3, 0, 4, 3)  # the token that goes on in a word says a place, and a place begins inside
    chance = float(np.exp(4) / (np.exp(4) + 4))
    (found,) = decode({"logits": [logits]}, {"labels": LABELS}, one_each([TEXT], [FEATURE]))
    assert found == (
        Answer("person", "Ada Lovell", 0, 10, pytest.approx(chance)),
        Answer("place", "Lima", 15, 19, pytest.approx(chance)),
    )
    assert decode({"logits": [hot(0)]}, {"labels": LABELS}, one_each([""], [feature(-1, offsets=[(0, 0)])])) == [()]


def test_a_graph_of_other_labels_is_refused() -> None:
    with pytest.raises(BundleError, match="other labels"):
        decode({"logits": [hot(0, 1)]}, {"labels": LABELS[:3]}, one_each([TEXT], [FEATURE]))


def examples(spans: list[list[Any]]) -> Examples:
    return Examples([], np.arange(len(spans)), spans, [FEATURE] * len(spans))


def test_scores_are_those_by_hand() -> None:
    """Of three true entities two are found, and three are said; one text has an entity beyond its cut end."""
    spans = [[(0, 10, "person"), (15, 19, "place")], [(0, 3, "person")]]
    outputs = {"logits": [hot(0, 1, 2, 0, 0, 3, 0), hot(0, 1, 2, 0, 0, 0, 0)]}
    report = scores.report({"labels": LABELS}, outputs, examples(spans))
    assert report["precision_micro"] == report["recall_micro"] == report["f1_micro"] == pytest.approx(2 / 3, abs=1e-6)
    assert report["f1_macro"] == pytest.approx((0.5 + 1) / 2)
    assert report["accuracy"] == pytest.approx(7 / 8)
    assert report["per_entity"]["place"] == {"precision": 1.0, "recall": 1.0, "f1": 1.0, "number": 1}
    lost = examples([[*spans[0], (25, 30, "place")], spans[1]])
    assert scores.one("recall_micro", {"labels": LABELS}, outputs, lost) == pytest.approx(2 / 4)
    assert scores.report({"labels": LABELS}, {"logits": [hot(*[0] * 7)]}, examples([[]]))["f1_micro"] is None


def test_neighbours_of_one_type_stay_two_entities() -> None:
    places = np.array([[0, 3], [4, 10], [11, 14]])
    found = tags(places, [(0, 3, "person"), (4, 14, "person")])
    assert found == ["B-person", "B-person", "I-person"]
    assert entities(found) == [(0, 1, "person"), (1, 3, "person")]


def test_an_entity_that_is_cut_off_in_the_middle_is_not_found() -> None:
    """Its words that were read are tagged as they should be, and still it is one entity, and missed."""
    report = scores.report({"labels": LABELS}, {"logits": [hot(0, 0, 0, 0, 0, 3, 0)]}, examples([[(15, 25, "place")]]))
    assert report["per_entity"]["place"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "number": 1}


def test_types_may_be_what_seqeval_takes_for_something_else() -> None:
    labels = ("O", *(f"{mark}-{label}" for label in ("-", "x-", "x", "micro avg") for mark in "BI"))
    spans = [[(0, 3, "-"), (4, 10, "x-"), (11, 14, "x"), (15, 19, "micro avg")]]
    logits = np.zeros((7, len(labels)), np.float32)
    logits[range(7), [0, 1, 3, 0, 3, 7, 0]] = 4.0
    report = scores.report({"labels": labels}, {"logits": [logits]}, examples(spans))
    assert {label: found["f1"] for label, found in report["per_entity"].items()} == {
        "-": 1.0, "x-": pytest.approx(2 / 3, abs=1e-6), "x": 0.0, "micro avg": 1.0
    }  # fmt: skip
    assert report["f1_micro"] == pytest.approx(3 / 4)


def test_texts_without_a_word_are_learned_from(tmp_path: Path) -> None:
    rows = [
        {"text": f"\u200b{'hello there' * (i % 2)}", "spans": [{"start": 1, "end": 6, "label": "x"}] * (i % 2)}
        for i in range(4)
    ]
    building.write_rows(tmp_path / "rows.jsonl", rows)
    data = {"train": "rows.jsonl", "validation": "rows.jsonl"}
    built = building.bundle(
        tmp_path, "bert", {"type": "token-classification"}, data, train={"epochs": 1, "batch_size": 1}
    )
    history = json.loads((built / "manifest.json").read_bytes())["training"]["epochs"]
    assert np.isfinite(history[0]["train_loss"])


WORDS = {"tokens": ["Ada", "saw", "Lima"], "tags": ["B-person", "O", "B-place"]}
SPANS = {"text": "Ada saw Lima", "spans": [{"start": 0, "end": 3, "label": "person"}]}
BAD = {
    "no list of words": ("E0313", WORDS | {"tokens": "Ada saw Lima"}),
    "an empty list of words": ("E0313", WORDS | {"tokens": [], "tags": []}),
    "a word that is a number": ("E0313", WORDS | {"tokens": ["Ada", 3, "Lima"]}),
    "a blank word": ("E0313", WORDS | {"tokens": ["Ada", " ", "Lima"]}),
    "tags that are numbers": ("E0313", WORDS | {"tags": [1, 0, 2]}),
    "no tags": ("E0313", WORDS | {"tags": None}),
    "fewer tags than words": ("E0360", WORDS | {"tags": ["B-person", "O"]}),
    "an inside first": ("E0361", WORDS | {"tags": ["I-person", "O", "O"]}),
    "a word for a tag": ("E0361", WORDS | {"tags": ["person", "O", "O"]}),
    "spans that are no list": ("E0313", SPANS | {"spans": "person"}),
    "a span without an end": ("E0313", SPANS | {"spans": [{"start": 0, "label": "person"}]}),
    "a span from a word": ("E0313", SPANS | {"spans": [{"start": "0", "end": 3, "label": "person"}]}),
    "a span beyond the text": ("E0362", SPANS | {"spans": [{"start": 8, "end": 13, "label": "place"}]}),
    "a span before the text": ("E0362", SPANS | {"spans": [{"start": -1, "end": 3, "label": "place"}]}),
    "an empty span": ("E0362", SPANS | {"spans": [{"start": 3, "end": 3, "label": "place"}]}),
    "a span of a space": ("E0362", SPANS | {"spans": [{"start": 3, "end": 4, "label": "place"}]}),
    "spans that overlap": ("E0363", SPANS | {"spans": [{"start": 0, "end": 7, "label": "x"}, {"start": 4, "end": 9, "label": "y"}]}),
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    ground.lay(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys)


def check(command: Command, rows: list[dict[str, Any]], data: str = "") -> Any:
    Path("rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    head = f"head: {{type: token-classification}}\ndata: {{train: rows.jsonl{data}}}\n"
    Path("spec.yaml").write_text(ground.replaced(head))
    return command("validate", "spec.yaml")


@pytest.mark.parametrize("case", BAD)
def test_bad_rows_are_told_with_their_place(case: str, folder: Path, command: Command) -> None:
    code, row = BAD[case]
    good = [WORDS | {"tokens": [*WORDS["tokens"], str(i)], "tags": [*WORDS["tags"], "O"]} for i in range(9)]
    if "text" in row:
        good = [SPANS | {"text": f"Ada saw Lima {i}"} for i in range(9)]
    answer = check(command, [*good, row])
    assert (answer.status, [c for c in answer.codes if c[0] == "E"]) == (1, [code])
    assert answer.findings[0].place == "rows.jsonl:10"


def test_roles_go_together(folder: Path, command: Command) -> None:
    assert check(command, [WORDS | {"text": "x"}] * 9).status == 0, "a text beside words is not read"
    assert "has no column `tokens`" in check(command, [{"tags": ["O"], "text": "x"}]).err
    answer = check(command, [WORDS | {"text": "x"}], ", columns: {text: text, tags: tags}")
    assert answer.findings[0].headline == "`text` does not go with `tags`"


def test_labels_are_types(folder: Path, command: Command) -> None:
    assert check(command, [{"tokens": ["a"], "tags": ["O"]}] * 9).codes[0] == "E0315"
    assert check(command, [WORDS, {"tokens": ["a", "b", "c"], "tags": ["B-a", "L-a", "O"]}]).codes[0] == "E0361"


def test_a_lock_remembers_the_count() -> None:
    columns = {"tokens": ("tokens",), "tags": ("tags",)}
    tally = token_classification.Tally(columns)
    for i, row in enumerate([WORDS, WORDS, {"tokens": ["a"], "tags": ["O"]}]):
        assert not isinstance(tally.add(row, ("x", i)), Unusable)
    again = token_classification.Tally.recall(columns, tally.record(), ("x", 0))
    assert (again.strata, again.counts, again.record()) == ((2, 1), tally.counts, tally.record())


@pytest.mark.parametrize("family", ["bert", "llama"])
def test_it_becomes_a_bundle(family: str, tmp_path: Path) -> None:
    tiny.save(family, tmp_path / "backbone")
    rows = [json.loads(line) for line in (TRIPS / "train.jsonl").read_text().splitlines()]
    if family == "llama":  # the other form of the data
        columns = {"tokens": ("tokens",), "tags": ("tags",)}
        rows = [{"text": " ".join(r["tokens"]), "spans": [{"start": a, "end": b, "label": c} for a, b, c in token_classification.reference(r, columns)]} for r in rows]  # fmt: skip
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    spec = running.write_spec(
        tmp_path, backbone={"from": "./backbone"}, head={"type": "token-classification"},
        data={"train": "rows.jsonl", "validation": {"fraction": 0.2}, "max_length": 48},
        train={"max_steps": 5, "batch_size": 16, "learning_rate": {"backbone": 3e-3, "head": 1e-2}},
    )  # fmt: skip
    built = graftc.build(spec, tmp_path / "bundle", tmp_path / "store")
    assert list(verify(built.folder)) == ["fp32"]
    manifest = json.loads((built.folder / "manifest.json").read_bytes())
    assert manifest["gates"]["parity"]["worst"] < 1e-4
    torch, onnx = (manifest["metrics"]["validation"][runner] for runner in ("torch", "fp32"))
    assert torch["f1_micro"] == pytest.approx(onnx["f1_micro"], abs=0.01)
    text = "Mara Lindqvist left Gothenburg on Monday."
    said = subprocess.run(
        [sys.executable, str(built.folder / "predict.py"), text, ""], capture_output=True, text=True, check=True
    )
    first, second = (json.loads(line) for line in said.stdout.splitlines())
    assert second == []
    assert all(text[e["start"] : e["end"]] == e["word"] and 0 < e["score"] <= 1 for e in first)
    assert {e["entity_group"] for e in first} <= {"person", "place", "company", "date"}
    assert isinstance(graftc.load(built.folder).rows([text]), Rows)


def test_an_option_that_the_task_has_not_is_refused() -> None:
    from graftc.runtime.errors import BundleError
    from graftc.runtime.heads import token_classification
    from graftc.runtime.model import Model

    model = object.__new__(Model)
    model.heads, model.decoders = {"": {}}, {"": token_classification.DECODER}
    with pytest.raises(BundleError, match="takes no option `top_k`"):
        model.predict("a text", top_k=2)


COLUMNS = {"tokens": ("tokens",), "tags": ("tags",)}
TAGGED: list[tuple[list[str], list[str], list[tuple[int, int, str]]]] = [  # words, IOB2 tags, spans
    (["Ada", "Lark", "left"], ["B-person", "I-person", "O"], [(0, 8, "person")]),
    (["Nord", "Port", "Ada"], ["B-place", "B-place", "B-person"], [(0, 4, "place"), (5, 9, "place"), (10, 13, "person")]),
    (["it", "rained"], ["O", "O"], []),
]  # fmt: skip


def iob1(sequence: list[str]) -> list[str]:
    """IOB2 tags as CoNLL-2003 was published: `B-` only right after an entity of the same type."""
    pairs = zip(["O", *sequence], sequence, strict=False)
    return [tag if tag == "O" or (tag[0] == "B" and before[2:] == tag[2:]) else f"I-{tag[2:]}" for before, tag in pairs]


def told(rows: list[dict[str, Any]], labels: list[str] | None = None) -> list[Any]:
    """What the tally says of rows, in order: None for those that can be used."""
    tally = token_classification.Tally(COLUMNS, token_classification.Options(labels=labels and tuple(labels)))
    return [tally.add(row, ("x", i)) for i, row in enumerate(rows, 1)]


@pytest.mark.parametrize(
    ("sequence", "expected"),
    [
        (["I-a", "I-a", "O", "I-b"], [(0, 2, "a"), (3, 4, "b")]),
        (["I-a", "B-a", "I-a"], [(0, 1, "a"), (1, 3, "a")]),
        (["I-a", "I-b"], [(0, 1, "a"), (1, 2, "b")]),
    ],
)
def test_iob1_is_read_as_what_it_is(sequence: list[str], expected: list[Any]) -> None:
    assert _tags.read(sequence) == (expected, frozenset({"IOB1"}))


@pytest.mark.parametrize("seed", range(20))
def test_iob1_and_iob2_of_random_entities_are_the_same_spans(seed: int) -> None:
    chance = np.random.default_rng(seed)
    sequence: list[str] = []
    while len(sequence) < 12:
        label = str(chance.choice(["a", "b"]))
        sequence += [f"B-{label}", *[f"I-{label}"] * int(chance.integers(0, 3)), *["O"] * int(chance.integers(0, 2))]
    spans, schemes = _tags.read(sequence)
    assert schemes == {"IOB2"}
    assert _tags.read(iob1(sequence)) == (spans, frozenset({"IOB1"}))


def test_a_row_of_another_scheme_is_told_at_its_place() -> None:
    rows = [{"tokens": words, "tags": sequence} for words, sequence, _ in TAGGED]
    odd = {"tokens": ["Ada", "left"], "tags": ["I-person", "O"]}
    *fine, wrong = told([*rows, odd])
    assert fine == [None] * 3
    assert (wrong.code, "IOB1, and those of x:1 IOB2" in wrong.detail) == ("E0361", True)


NAMES = ["O", "B-place", "I-place", "B-person", "I-person"]


@pytest.mark.parametrize("is_text", [False, True], ids=["lists", "cells"])
def test_numbers_are_the_tags_that_head_labels_names(is_text: bool) -> None:
    rows = [{"tokens": words, "tags": [NAMES.index(tag) for tag in sequence]} for words, sequence, _ in TAGGED]
    rows = [{key: str(value) for key, value in row.items()} for row in rows] if is_text else rows
    assert told(rows, NAMES) == [None] * 3
    tally = token_classification.Tally(COLUMNS, token_classification.Options(labels=tuple(NAMES)))
    assert [tally.add(row, ("x", 1)) for row in rows] == [None] * 3
    record = token_classification.lower(tally.options, tally)
    assert record["labels"] == ("O", "B-place", "I-place", "B-person", "I-person")
    assert record["names"] == tuple(NAMES)
    for row, (words, _, spans) in zip(rows, TAGGED, strict=True):
        whole = _entities.spelt(record, row, COLUMNS)
        assert _entities.raw(whole, COLUMNS, Path()) == " ".join(words)
        assert token_classification.reference(whole, COLUMNS) == spans
    again = token_classification.Tally.recall(COLUMNS, tally.record(), ("x", 0))
    assert token_classification.lower(tally.options, again) == record


def test_numbers_without_names_are_refused_with_a_way_out() -> None:
    row = {"tokens": ["a", "b"], "tags": [0, 3]}
    (without,) = told([row])
    assert "`head: {labels: [O, B-…, I-…]}`" in without.help
    (types,) = told([row], ["place", "person"])
    assert "`head: {labels: [O, B-…, I-…]}`" in types.help, "types are no names of tags"
    (beyond,) = told([row | {"tags": [0, 9]}], NAMES)
    assert "names the numbers 0 to 4" in beyond.help
    (negative,) = told([row | {"tags": [0, -1]}], NAMES)
    assert negative is not None, "-1 is not the last"
    (mixed,) = told([row | {"tags": [0, "O"]}], NAMES)
    assert mixed is not None


@pytest.mark.parametrize("form", ["iob1", "numbers", "conll", "cells"])
def test_every_form_plans_as_words_do_and_says_so(form: str, folder: Path, command: Command) -> None:
    sentences = [(words, sequence) for words, sequence, _ in TAGGED * 6]
    columns, labels, file = "{tokens: tokens, tags: tags}", "", "rows.jsonl"
    if form == "conll":
        file = "rows.conll"
        text = "\n\n".join("\n".join(f"{w} NN X {t}" for w, t in zip(*pair, strict=True)) for pair in sentences)
    elif form == "cells":
        file = "rows.csv"
        text = "tokens,tags\n" + "\n".join(f'"{words}","{sequence}"' for words, sequence in sentences)
    else:
        labels = f", labels: [{', '.join(NAMES)}]" if form == "numbers" else ""
        change = iob1 if form == "iob1" else lambda sequence: [NAMES.index(tag) for tag in sequence]
        text = "\n".join(json.dumps({"tokens": words, "tags": change(sequence)}) for words, sequence in sentences)
    Path(file).write_text(text + "\n", encoding="utf-8")
    head = f"head: {{type: token-classification{labels}}}\n"
    Path("spec.yaml").write_text(ground.replaced(f"{head}data: {{train: {file}, columns: {columns}}}\n"))
    answer = command("plan", "spec.yaml")
    assert answer.status == 0, answer.err
    said = {
        "iob1": "tags         read as IOB1, learned as IOB2",
        "numbers": "tags         numbers from 0: O, B-place, I-place, B-person, I-person",
    }
    assert [text in answer.out for text in said.values()] == [form == word for word in said]
    planned = json.loads(command("plan", "--json", "spec.yaml").out)["tasks"][0]
    assert sorted(planned["head"]["record"]["labels"]) == sorted(NAMES)
    assert planned["data"]["splits"][0]["rows"] == 18
    assert command("lock", "spec.yaml").status == 0
    Path(file).rename("away")
    assert json.loads(command("plan", "--json", "--no-data", "spec.yaml").out)["tasks"][0] == planned


def test_numbers_become_the_bundle_of_their_words(tmp_path: Path) -> None:
    tiny.save("bert", tmp_path / "backbone")
    rows = [json.loads(line) for line in (TRIPS / "train.jsonl").read_text().splitlines()]
    kinds = sorted({tag[2:] for row in rows for tag in row["tags"] if tag != "O"})
    names = ["O", *(f"{mark}-{kind}" for kind in kinds for mark in "BI")]
    found = {}
    for form in ("words", "numbers", "iob1"):
        changed = {"words": lambda t: t, "numbers": lambda t: [names.index(tag) for tag in t], "iob1": iob1}[form]
        text = "".join(json.dumps(row | {"tags": changed(row["tags"])}) + "\n" for row in rows)
        (tmp_path / "rows.jsonl").write_text(text)
        head = {"type": "token-classification"} | ({"labels": names} if form == "numbers" else {})
        spec = running.write_spec(
            tmp_path, backbone={"from": "./backbone"}, head=head, adapt={"method": "probe"},
            data={"train": "rows.jsonl", "validation": {"fraction": 0.2}, "max_length": 48},
            train={"max_steps": 3, "batch_size": 16},
        )  # fmt: skip
        built = graftc.build(spec, tmp_path / form, tmp_path / "store")
        assert list(verify(built.folder)) == ["fp32"]
        found[form] = built.metrics
    assert found["words"] == found["numbers"] == found["iob1"]
