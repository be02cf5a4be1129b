"""Files as other programs write them: spreadsheets, annotation tools, published data sets."""

from __future__ import annotations

import json as stdlib_json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graftc.compiler.formats import Malformed, conll, csv, image_folder, json, jsonl, tsv, txt

Rows = list[tuple[int, dict[str, Any]]]
UP = [(2, {"text": "a", "label": "up"}), (3, {"text": "b", "label": "down"})]


def read(module: ModuleType, content: bytes | str, folder: Path, told: Any = None) -> Rows:
    file = folder / "file"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(module.rows(file, told) if told else module.rows(file))


def refusal(module: ModuleType, content: bytes | str, folder: Path) -> Malformed:
    with pytest.raises(Malformed) as caught:
        read(module, content, folder)
    return caught.value


def past(module: ModuleType, content: bytes | str, folder: Path) -> tuple[Rows, list[tuple[int, str]]]:
    """The rows of a file whose damaged ones are left out, and what is said of these."""
    errors: list[Malformed] = []
    rows = read(module, content, folder, errors.append)
    return rows, [(error.row, error.reason) for error in errors]


@pytest.mark.parametrize(
    "content",
    [
        "text,label,,\na,up,,\nb,down,,\n",
        "text,label,\na,up,\nb,down,\n",
        "text,label,,\na,up\nb,down,\n",
        "text,label\na,up,,\nb,down,\n",
        "text,label\na,up\nb,down\n,\n,\n\n",
        "text;label\na;up\nb;down\n",
        "text\tlabel\na\tup\nb\tdown\n",
        '"text";"label"\n"a";"up"\n"b";"down"\n',
        "text,label\ra,up\rb,down\r",
        ",text,label\n0,a,up\n1,b,down\n",
        "text, ,label\na,,up\nb,,down\n",
    ],
)
def test_what_is_unambiguous_of_a_spreadsheet_is_read(content: str, tmp_path: Path) -> None:
    assert read(csv, content, tmp_path) == UP
    assert read(csv, content.encode("utf-8-sig"), tmp_path) == UP
    assert read(csv, content.encode("utf-16"), tmp_path) == UP


def test_a_first_line_may_name_the_separator(tmp_path: Path) -> None:
    for mark in ",;\t|":
        content = f"sep={mark}\r\ntext{mark}label\r\na{mark}up\r\nb{mark}down\r\n"
        assert read(csv, content, tmp_path) == [(line + 1, row) for line, row in UP]


@pytest.mark.parametrize(
    ("content", "row", "reason", "help"),
    [
        ("v1,v2,,\nham,a,,\nham,b, c,\n", 3, "cell 3 is ` c`, and the header names no column there", "put quotes"),
        ("text,label,,\na, b,up,\n", 2, "cell 3 is `up`", "put quotes around a cell that holds commas"),
        ("text;label\na;b;up\n", 2, "3 cells", "put quotes around a cell that holds semicolons"),
        ("# exported 2024\ntext,label\na,up\n", 2, "2 cells", "it is a comment"),
        ('label, text\nup, "a, b"\n', 2, "a blank stands before a quote", "take the blanks after the commas out"),
        (",,\na,b,c\n", 1, "the header names no column", "must name the columns"),
        ("text,label\nb,\xe9t\xe9\n".encode("cp1252"), 2, "not UTF-8: byte 0xe9", "iconv -f WINDOWS-1252 -t UTF-8"),
        ("text,label,text\na,b,c\n", 1, "names a column twice: `text`", ""),
        ("text,label,x\na,up\n", 2, "2 cells, but the header names 3 columns", ""),
    ],
)
def test_what_is_ambiguous_is_refused_with_a_way_out(
    content: bytes | str, row: int, reason: str, help: str, tmp_path: Path
) -> None:
    error = refusal(csv, content, tmp_path)
    assert (error.row, reason in error.reason, help in error.help) == (row, True, True), error


@given(st.lists(st.lists(st.text(st.characters(exclude_characters="\r\n\0\ufeff", exclude_categories=["Cs"]), max_size=6), min_size=2, max_size=2), max_size=5))  # fmt: skip
@settings(max_examples=100, deadline=None, database=None)
def test_rows_are_the_same_in_every_encoding(cells: list[list[str]]) -> None:
    import tempfile

    content = "a,b\n" + "".join(
        ",".join(f'"{cell.replace(chr(34), chr(34) * 2)}"' for cell in row) + "\n" for row in cells
    )
    with tempfile.TemporaryDirectory() as folder:
        once, again = (read(csv, content.encode(code), Path(folder)) for code in ("utf-8", "utf-16"))
    assert once == again
    assert [list(row.values()) for _, row in once] == [[c or None for c in row] for row in cells if any(row)]


CONTEXT = "The mill was built in 1742."
ASKED = [
    {"id": "a", "question": "When?", "is_impossible": False, "answers": [{"text": "1742", "answer_start": 22}]},
    {"id": "b", "question": "Who?", "is_impossible": True, "answers": [], "plausible_answers": [{"text": "mill", "answer_start": 4}]},
    {"id": "c", "question": "Why?", "is_impossible": True},
]  # fmt: skip
ARTICLES = [{"title": f"Mills {n}", "paragraphs": [{"context": CONTEXT, "qas": ASKED}] * n} for n in range(3)]


@pytest.mark.parametrize("document", [{"version": "v2.0", "data": ARTICLES}, ARTICLES], ids=["an object", "a list"])
def test_articles_of_squad_are_questions(document: Any, tmp_path: Path) -> None:
    rows = read(json, stdlib_json.dumps(document), tmp_path)
    assert [number for number, _ in rows] == list(range(1, 10))
    assert [row["question"] for _, row in rows] == ["When?", "Who?", "Why?"] * 3
    assert {row["context"] for _, row in rows} == {CONTEXT}
    assert [row["answers"] for _, row in rows[:3]] == [ASKED[0]["answers"], [], []]
    assert rows[3][1]["title"] == "Mills 2"


def test_damaged_articles_are_told_by_their_question(tmp_path: Path) -> None:
    odd = {"question": "x", "is_impossible": True, "answers": [{"text": "1742", "answer_start": 22}]}
    article = {
        "paragraphs": [
            {"context": CONTEXT, "qas": [ASKED[0], odd, 5]},
            {"context": CONTEXT},
            {"context": CONTEXT, "qas": [ASKED[1]]},
        ]
    }
    content = stdlib_json.dumps([article])
    assert refusal(json, content, tmp_path).row == 2
    rows, errors = past(json, content, tmp_path)
    assert [number for number, _ in rows] == [1, 5]
    assert [number for number, _ in errors] == [2, 3, 4]
    assert "said to be impossible, and has answers" in errors[0][1]
    assert "`context` and a list `qas`" in errors[2][1]


def test_rows_with_paragraphs_of_their_own_are_rows(tmp_path: Path) -> None:
    rows = [{"text": "a", "paragraphs": ["x", "y"]}, {"text": "b", "paragraphs": 3}]
    assert [row for _, row in read(json, stdlib_json.dumps(rows), tmp_path)] == rows


SENTENCES = [(["Ada", "went"], ["B-PER", "O"]), (["#", "Nord"], ["O", "B-LOC"])]


@pytest.mark.parametrize("mark", [" ", "\t", "   "])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_conll_is_words_and_tags_in_columns(mark: str, end: str, tmp_path: Path) -> None:
    blocks = [end.join(f"{word}{mark}{tag}" for word, tag in zip(*pair, strict=True)) for pair in SENTENCES]
    content = f"-DOCSTART-{mark}O{end}{end}# newdoc id 1{end}" + f"{end}{end} {end}".join(blocks)
    found = read(conll, content, tmp_path)
    assert [(row["tokens"], row["tags"]) for _, row in found] == SENTENCES
    assert [number for number, _ in found] == [4, 8]


def test_four_columns_are_those_of_conll_2003(tmp_path: Path) -> None:
    ((number, row),) = read(conll, "-DOCSTART- -X- -X- O\n\nEU NNP B-NP B-ORG\nrejects VBZ B-VP O\n", tmp_path)
    assert number == 3
    assert row == {
        "tokens": ["EU", "rejects"], "pos_tags": ["NNP", "VBZ"], "chunk_tags": ["B-NP", "B-VP"],
        "ner_tags": ["B-ORG", "O"], "tags": ["B-ORG", "O"],
    }  # fmt: skip


def test_words_may_hold_blanks_between_tabs(tmp_path: Path) -> None:
    ((_, row),) = read(conll, "New York\tB-LOC\nis\tO\n", tmp_path)
    assert row == {"tokens": ["New York", "is"], "tags": ["B-LOC", "O"]}


@pytest.mark.parametrize(
    ("content", "row", "reason"),
    [
        ("a O\nb\n", 2, "1 column, and the lines before have 2"),
        ("a x O\n\nb O\n", 3, "2 columns, and the lines before have 3"),
        ("a\n\nb\n", 1, "one column only"),
        ("a\tO\nb\t\n", 2, "a word or its tag is empty"),
        (b"a O\n\xe9 O\n", 2, "not UTF-8"),
    ],
)
def test_damaged_sentences_are_refused_by_line(content: bytes | str, row: int, reason: str, tmp_path: Path) -> None:
    error = refusal(conll, content, tmp_path)
    assert (error.row, reason in error.reason) == (row, True), error


@pytest.mark.parametrize(
    ("module", "content", "kept", "left"),
    [
        (csv, "a,b\n1,2\n3\n4,5,6\n7,8\n", [2, 5], [3, 4]),
        (csv, 'a,b\n1,2\nx"y,"z"w\n"x"y,3\n7,8\n', [2, 5], [3, 4]),
        (csv, b"a,b\n1,2\n\xe9,3\n4,\x00\n7,8\n", [2, 5], [3, 4]),
        (csv, 'a,b\n"1\n2",3\n4\n"5\n6",7\n', [2, 5], [4]),
        (tsv, "a\tb\n1\t2\n3\n", [2], [3]),
        (jsonl, '{"a": 1}\n{"a": \n[1]\n\n{"a": 1, "a": 2}\n{"a": "\\ud800"}\n{"a": 2}\n', [1, 7], [2, 3, 5, 6]),
        (json, '[{"a": 1}, 5, "x", [1], null, {"a": "\\ud800"}, {"a": 2}]', [1, 7], [2, 3, 4, 5, 6]),
        (txt, b"one\n\xe9\n\nfour\n", [1, 4], [2]),
        (conll, "a O\n\nb\n\nc O x\nd O\n\ne O\n", [1, 8], [3, 5]),
    ],
)
def test_reading_goes_on_past_a_row_that_can_t_be_read(
    module: ModuleType, content: bytes | str, kept: list[int], left: list[int], tmp_path: Path
) -> None:
    rows, errors = past(module, content, tmp_path)
    assert ([number for number, _ in rows], [number for number, _ in errors]) == (kept, left)
    assert refusal(module, content, tmp_path).row == left[0]


@pytest.mark.parametrize(
    ("module", "content"),
    [
        (csv, 'a,b\n1,2\n"3,4\n5,6\n'),  # where the quote should end, nobody knows
        (csv, 'a,b\n"1,2\n3,"4"\n'),
        (json, '[{"a": 1}, {"a": }, {"a": 2}]'),
        (json, '[{"a": 1}'),
        (csv, "\n"),
    ],
)
def test_what_leaves_no_rows_to_tell_is_an_error_even_so(module: ModuleType, content: str, tmp_path: Path) -> None:
    with pytest.raises(Malformed):
        past(module, content, tmp_path)


def test_a_parquet_string_that_is_no_text_can_be_passed(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from graftc.compiler.formats import parquet

    table = pyarrow.table({"a": pyarrow.array([b"x", b"\xff", b"y"]).view(pyarrow.string()), "n": [1, 2, 3]})
    from pyarrow.parquet import write_table

    write_table(table, tmp_path / "rows.parquet", row_group_size=1)
    errors: list[Malformed] = []
    rows = list(parquet.rows(tmp_path / "rows.parquet", errors.append))
    assert [(number, row["n"]) for number, row in rows] == [(1, 1), (3, 3)]
    assert [error.row for error in errors] == [2]


def test_files_among_pictures_that_are_none(tmp_path: Path) -> None:
    for name in ("red/1.JPG", "red/Thumbs.db", "red/desktop.ini", "blue/2.jfif", "blue/a.heic", "blue/notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    with pytest.raises(Malformed, match=r"`blue/a.heic`, `blue/notes.txt` are no images") as caught:
        list(image_folder.rows(tmp_path))
    assert "JPEG or PNG" in caught.value.help
    errors: list[Malformed] = []
    rows = list(image_folder.rows(tmp_path, errors.append))
    assert [(number, row["image"]) for number, row in rows] == [(1, "blue/2.jfif"), (4, "red/1.JPG")]
    assert [error.row for error in errors] == [2, 3]
