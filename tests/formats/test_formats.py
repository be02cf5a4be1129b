from __future__ import annotations

import csv as stdlib_csv
import json as stdlib_json
import math
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graftc.compiler.formats import Malformed, conll, csv, image_folder, json, jsonl, parquet, tsv, txt
from graftc.compiler.variants import words

FORMATS = (conll, csv, image_folder, json, jsonl, parquet, tsv, txt)
Rows = list[tuple[int, dict[str, Any]]]


@pytest.fixture
def read(tmp_path: Path) -> Callable[[ModuleType, bytes | str], Rows]:
    def rows(module: ModuleType, content: bytes | str) -> Rows:
        file = tmp_path / "file"
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return list(module.rows(file))

    return rows


@pytest.fixture
def refused(tmp_path: Path) -> Callable[[ModuleType, bytes | str], tuple[Rows, Malformed]]:
    """Reads up to the damage: what was yielded before it, and what was said of it."""

    def until(module: ModuleType, content: bytes | str) -> tuple[Rows, Malformed]:
        file = tmp_path / "file"
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        before: Rows = []
        with pytest.raises(Malformed) as caught:
            before.extend(module.rows(file))
        return before, caught.value

    return until


def test_every_format_is_a_word_and_no_two_claim_one_suffix() -> None:
    assert words("formats") == ("conll", "csv", "image-folder", "json", "jsonl", "parquet", "tsv", "txt")
    suffixes = [suffix for module in FORMATS for suffix in module.FORMAT.suffixes]
    assert len(suffixes) == len(set(suffixes))
    assert all(suffix.startswith(".") and suffix == suffix.lower() for suffix in suffixes)
    assert {module for module in FORMATS if module.FORMAT.extra} == {parquet}
    assert image_folder.FORMAT.suffixes == ()


def test_modules_named_like_the_standard_library_do_not_stand_in_for_it() -> None:
    assert csv.__name__ == "graftc.compiler.formats.csv"
    assert import_module("csv") is stdlib_csv
    assert import_module("json") is stdlib_json


def test_importing_every_format_loads_neither_arrow_nor_pillow() -> None:
    code = (
        "import sys\n"
        "from graftc.compiler.formats import conll, csv, image_folder, json, jsonl, parquet, tsv, txt\n"
        "print(sorted({'pyarrow', 'PIL', 'torch', 'numpy', 'pandas'} & set(sys.modules)))"
    )
    root = Path(__file__).parents[2]
    run = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True, timeout=30)
    assert run.stdout.strip() == "[]"


# text, cell by cell


@pytest.mark.parametrize(("module", "mark"), [(csv, ","), (tsv, "\t")])
def test_tables_number_rows_by_the_line_on_which_they_start(read: Any, module: ModuleType, mark: str) -> None:
    content = 'text,label\none,a\n\n"two\nlines",b\nthree,c\n'.replace(",", mark)
    assert read(module, content) == [
        (2, {"text": "one", "label": "a"}),
        (4, {"text": "two\nlines", "label": "b"}),
        (6, {"text": "three", "label": "c"}),
    ]


def test_cells_stay_strings_and_an_empty_one_is_none(read: Any) -> None:
    assert read(csv, 'a,b,c\n007,,""\n" x ",1e3,"say ""hi"""\n') == [
        (2, {"a": "007", "b": None, "c": None}),
        (3, {"a": " x ", "b": "1e3", "c": 'say "hi"'}),
    ]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_byte_order_marks_and_line_ends_leave_no_trace(read: Any, end: str, mark: str) -> None:
    assert read(csv, f"{mark}a,b{end}x,y{end}") == [(2, {"a": "x", "b": "y"})]
    assert read(tsv, f"{mark}a\tb{end}x\ty{end}") == [(2, {"a": "x", "b": "y"})]
    assert read(jsonl, f'{mark}{{"a": 1}}{end}{{"a": 2}}{end}') == [(1, {"a": 1}), (2, {"a": 2})]
    assert read(json, f'{mark}[{end}{{"a": 1}}]{end}') == [(1, {"a": 1})]
    assert read(txt, f"{mark}x{end}y") == [(1, {"text": "x"}), (2, {"text": "y"})]


def test_unicode_line_separators_do_not_end_a_line(read: Any) -> None:
    assert read(txt, "a\u2028b\u0085c\x0cd\n") == [(1, {"text": "a\u2028b\u0085c\x0cd"})]
    assert read(csv, "a\nx\u2028y\nz\n") == [(2, {"a": "x\u2028y"}), (3, {"a": "z"})]
    assert read(jsonl, '{"a": "x\u2028y"}\n{"a": 1}') == [(1, {"a": "x\u2028y"}), (2, {"a": 1})]


def test_a_long_document_fits_into_a_cell(read: Any) -> None:
    text = "word " * 100_000  # csv's own limit is 131,072 characters
    assert read(csv, f"text\n{text}\n") == [(2, {"text": text})]


@pytest.mark.parametrize(
    ("content", "row", "reason"),
    [
        ("", 0, "must name the columns"),
        ("\n\n", 0, "must name the columns"),
        ("a,b,a\n1,2,3\n", 1, "names a column twice: `a`"),
        ("a,b\n1,2\n\n1,2,3\n", 4, "3 cells, but the header names 2 columns"),
        ("a,b\n1\n", 2, "1 cell, but the header names 2 columns"),
        ('a,b\n"x\ny",1\n"x"y,1\n', 4, "written twice"),
        ('a,b\n1,2\n"x,3\n4,5\n', 3, "never closed"),
        ("a\nb\rc\n", 2, "carriage return"),
        ("a\nx\0y\n", 2, "NUL byte at column 2"),
        (b"a\nb\n\xe9t\xe9\n", 3, "not UTF-8: byte 0xe9"),
        ("a,b\n1,2\n".encode("utf-32"), 1, "not UTF-8: byte 0xff"),
        ("a,b\n1,2\n".encode("utf-16")[:-1], 2, "not UTF-16"),
    ],
)
def test_damaged_tables_are_refused_by_line(refused: Any, content: bytes | str, row: int, reason: str) -> None:
    _, error = refused(csv, content)
    assert (error.row, reason in error.reason) == (row, True), error


def test_rows_before_the_damage_are_yielded(refused: Any) -> None:
    before, error = refused(csv, "a\n1\n2\n3,4\n")
    assert (before, error.row) == ([(2, {"a": "1"}), (3, {"a": "2"})], 4)


def test_a_tsv_with_plain_quotes_is_refused_rather_than_joined(read: Any, refused: Any) -> None:
    assert read(tsv, 'a\tb\nsay "hi"\t2\n') == [(2, {"a": 'say "hi"', "b": "2"})]
    _, error = refused(tsv, 'a\tb\n"Hi" he said\t2\n')
    assert error.row == 2
    assert "'tab' expected" in error.reason


def test_an_open_quote_does_not_swallow_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limit = stdlib_csv.field_size_limit(1 << 10)
    monkeypatch.setattr("graftc.compiler.formats._table.LONGEST", 1 << 10)
    file = tmp_path / "open.csv"
    file.write_text('a\n"' + "some words\n" * 1_000)
    try:
        with pytest.raises(Malformed, match=r"row 2: .*quote left open"):
            list(csv.rows(file))
    finally:
        stdlib_csv.field_size_limit(limit)


def test_text_keeps_its_spaces_and_skips_blank_lines(read: Any, refused: Any) -> None:
    assert read(txt, "  a \n\n \t\nb") == [(1, {"text": "  a "}), (4, {"text": "b"})]
    assert read(txt, "") == []
    assert refused(txt, b"ok\n\xff\n")[1].row == 2


def test_a_file_that_is_one_endless_line_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graftc.compiler.formats._lines.LONGEST", 1 << 20)
    file = tmp_path / "line.txt"
    file.write_bytes(b"short\n" + b"x" * (1 << 20) + b"x")
    with pytest.raises(Malformed, match="row 2: the line is longer than 1 MiB"):
        list(txt.rows(file))


# JSON


def test_json_lines_are_numbered_as_an_editor_does(read: Any) -> None:
    assert read(jsonl, '\n{"a": {"b": [1, 2.5, null, "é"]}}\n  \n\t{"a": true} \n') == [
        (2, {"a": {"b": [1, 2.5, None, "é"]}}),
        (4, {"a": True}),
    ]


@pytest.mark.parametrize(
    "content",
    [
        '[{"a": 1}, {"a": 2}]',
        '{"data": [{"a": 1}, {"a": 2}]}',
        '{"v": 1.5, "w": [{}], "data": [{"a":1},{"a":2}], "z": 1}',
    ],
)
def test_json_documents_are_numbered_by_place(read: Any, content: str) -> None:
    assert read(json, content) == [(1, {"a": 1}), (2, {"a": 2})]


def test_json_documents_may_be_empty_lists(read: Any) -> None:
    assert read(json, " [ ] ") == read(json, '{"data": []}') == []


BAD_OBJECTS = [
    ('{"a": 1', "invalid JSON"),
    ("{'a': 1}", "double quotes"),
    ('{"a": 01}', "invalid JSON"),
    ('{"a": "x\ty"}', "control character"),
    ('{"a": "\\x"}', "escape"),
    ('{"a": }', "Expecting value"),
    ("[1]", "must be an object, not a list"),
    ('"a"', "must be an object, not a string"),
    ("-1", "must be an object, not a number"),
    ("null", "must be an object, not null"),
    ('{"a": NaN}', "`NaN` is no JSON"),
    ('{"a": -Infinity}', "`-Infinity` is no JSON"),
    ('{"a": 1e999}', "too large"),
    ('{"a": ' + "9" * 5_000 + "}", "too many digits"),
    ('{"a": ' + "[" * 200_000, "nested too deeply"),
    ('{"a": 1, "b": {"c": 1, "c": 2}}', "`c` stands there twice"),
    ('{"a": "\\ud83d!"}', "\\ud83d is half of a character"),
    ('{"a": {"\\uDE00": 1}}', "\\ude00 is half of a character"),
    (b'{"a": "\xed\xa0\x80"}', "not UTF-8"),
    (b'{"a": "caf\xe9"}', "not UTF-8: byte 0xe9"),
]


@pytest.mark.parametrize(("content", "reason"), BAD_OBJECTS)
def test_bad_objects_are_refused_with_their_row(refused: Any, content: bytes | str, reason: str) -> None:
    raw = content.encode() if isinstance(content, str) else content
    before, error = refused(jsonl, b'{"a": 0}\n\n' + raw + b"\n")
    assert before == [(1, {"a": 0})]
    assert (error.row, reason in error.reason) == (3, True), error
    before, error = refused(json, b'[{"a": 0},\n\n' + raw + b"]")
    assert before == [(1, {"a": 0})]
    assert (error.row, reason in error.reason) == (2, True), error
    assert "line 3" in error.reason or "200000" in error.reason


def test_whole_characters_written_as_two_escapes_are_text(read: Any) -> None:
    assert read(jsonl, '{"a": "\\ud83d\\ude00 \\ud55c"}') == [(1, {"a": "😀 한"})]
    assert read(json, '[{"a": "\\ud83d\\ude00 \\\\ud800"}]') == [(1, {"a": "😀 \\ud800"})]


@pytest.mark.parametrize(
    ("content", "row", "reason"),
    [
        ("", 0, "empty"),
        (" \n", 0, "empty"),
        ('"text"', 0, "list of objects"),
        ('[{"a": 1},]', 2, "comma before the end"),
        ('[{"a": 1}', 1, "Expecting ',' or ']'"),
        ('[{"a": 1},', 2, "cut off"),
        ('[{"a": 1}] {', 0, "something follows"),
        ('{"a": 1}\n{"a": 2}\n', 0, "`format: jsonl`"),
        ("{}", 0, "without a list"),
        ('{"data": 3}', 0, "must be a list"),
        ('{"data": [], "data": []}', 0, "stands there twice"),
        ('{"data": [{}], 3}', 0, "a key in double quotes"),
        ('{"data": [{}]', 1, "Expecting ',' or '}'"),
    ],
)
def test_json_documents_of_another_shape_are_refused(refused: Any, content: str, row: int, reason: str) -> None:
    _, error = refused(json, content)
    assert (error.row, reason in error.reason) == (row, True), error


def test_a_second_object_on_a_line_is_refused(refused: Any) -> None:
    _, error = refused(jsonl, '{"a": 1}{"a": 2}')
    assert (error.row, error.reason) == (1, "invalid JSON: something follows the object (character 9)")


scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
values = st.recursive(scalars | texts, lambda v: st.lists(v, max_size=3) | st.dictionaries(texts, v, max_size=3))
documents = st.lists(st.dictionaries(texts, values, max_size=3), max_size=4)


@settings(max_examples=150, deadline=None, database=None)
@given(documents, st.booleans(), st.sampled_from([None, 1]), st.booleans(), st.integers(1, 40))
def test_json_read_in_pieces_is_what_the_standard_library_reads(
    document: list[Any], is_ascii: bool, indent: int | None, is_wrapped: bool, piece: int
) -> None:
    whole = {"v": 1.25e10, "data": document, "w": -1e-5} if is_wrapped else document
    raw = stdlib_json.dumps(whole, ensure_ascii=is_ascii, indent=indent).encode()
    assert [row for _, row in _pieces(raw, piece)] == document


@settings(max_examples=200, deadline=None, database=None)
@given(documents, st.data(), st.integers(1, 40))
def test_damaged_json_is_refused_wherever_the_pieces_end(document: list[Any], data: Any, piece: int) -> None:
    raw = bytearray(stdlib_json.dumps(document, ensure_ascii=False).encode())
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] = data.draw(st.integers(0, 255))
    expected = _standard(bytes(raw))
    try:
        found: Rows | str = [row for _, row in _pieces(bytes(raw), piece)]
    except Malformed as error:
        found = error.reason
    if isinstance(found, str):
        assert expected is None or "twice" in found or "too large" in found
    else:
        assert found == expected


DOUBLED = [
    '"a" :1',
    '"a": 1',
    '"\\u0061": 2',
    '"b": ": x"',
    '"c":{"d": 1, "d": 2}',
    '"e": [{"f":1,"f":2}]',
    '"g": "\\":"',
]
WIDE = [2**63 - 1, 2**63, 2**64, -(2**63) - 1, 10**25, 1e300, -1e19, [2**64], [[2**70]], 0.1]


@settings(max_examples=400, deadline=None, database=None)
@given(st.lists(st.sampled_from(DOUBLED), max_size=4), st.sampled_from([",", " , ", ",\t", ",\r"]))
def test_repeated_keys_are_found_however_they_are_written(pairs: list[str], mark: str) -> None:
    line = "{" + mark.join(pairs) + "}"

    def unrepeated(found: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({key for key, _ in found}) < len(found):
            raise ValueError
        return dict(found)

    try:
        expected = stdlib_json.loads(line, object_pairs_hook=unrepeated)
    except ValueError:
        expected = None
    assert _line(line.encode()) == expected


@settings(max_examples=300, deadline=None, database=None)
@given(st.dictionaries(texts, values | st.sampled_from(WIDE), max_size=4), st.booleans(), st.data())
def test_lines_are_what_the_standard_library_reads(row: dict[str, Any], is_ascii: bool, data: Any) -> None:
    raw = stdlib_json.dumps(row, ensure_ascii=is_ascii, separators=data.draw(st.sampled_from([(",", ":"), None])))
    assert repr(_line(raw.encode())) == repr(row), "numbers too keep kind and digits"
    damaged = bytearray(raw.encode())
    damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255).filter(lambda b: b != 10))
    expected, found = _standard(b"[" + bytes(damaged) + b"]"), _line(bytes(damaged))
    assert found is None or expected == [found]


def _line(raw: bytes) -> Any:
    """The object of a line, None where it is refused."""
    import io

    class _Path:
        def open(self, mode: str, buffering: int) -> io.BytesIO:
            return io.BytesIO(raw)

    try:
        ((_, row),) = jsonl.rows(_Path())
    except (Malformed, ValueError):
        return None
    return row


def _standard(raw: bytes) -> Any:
    """What the standard library reads, None for what is no list of objects or no JSON."""

    def refuse(word: str) -> None:
        raise ValueError(word)

    try:
        value = stdlib_json.loads(raw.decode("utf-8-sig"), parse_constant=refuse)
    except ValueError:
        return None
    return value if isinstance(value, list) and all(isinstance(row, dict) for row in value) else None


def _pieces(raw: bytes, piece: int) -> Rows:
    import io

    class _File(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(min(size or piece, piece))

    class _Path:
        def open(self, mode: str) -> _File:
            return _File(raw)

    return list(json.rows(_Path()))


@pytest.mark.parametrize("module", [json, jsonl, csv, txt, parquet])
def test_memory_does_not_grow_with_the_file(tmp_path: Path, module: ModuleType) -> None:
    file = tmp_path / "large"
    row = {"text": "some words of a text " * 20, "label": "a"}
    count = 40_000  # 17 MB
    match module.__name__.rpartition(".")[2]:
        case "json":
            file.write_text("[" + ",\n".join([stdlib_json.dumps(row)] * count) + "]")
        case "jsonl":
            file.write_text((stdlib_json.dumps(row) + "\n") * count)
        case "csv":
            file.write_text("text,label\n" + f"{row['text']},a\n" * count)
        case "txt":
            file.write_text((row["text"] + "\n") * count)
        case "parquet":
            _write_parquet(file, {"text": [f"{row['text']} {i}" for i in range(count)]})
    tracemalloc.start()
    try:
        assert sum(1 for _ in module.rows(file)) == count
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 << 20


# Parquet


def _write_parquet(file: Path, columns: dict[str, Any], **options: Any) -> None:
    import pyarrow
    from pyarrow.parquet import write_table

    write_table(pyarrow.table(columns), file, **options)


def test_parquet_rows_are_numbered_by_place_across_batches(tmp_path: Path) -> None:
    file = tmp_path / "t.parquet"
    texts = [f"text {i}" if i % 3 else None for i in range(1_000)]
    _write_parquet(file, {"text": texts, "tags": [[i, i + 1] for i in range(1_000)]}, row_group_size=300)
    assert list(parquet.rows(file)) == [(i + 1, {"text": text, "tags": [i, i + 1]}) for i, text in enumerate(texts)]


def test_parquet_damage_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "t.parquet"
    file.write_bytes(b"PAR1 not really")
    with pytest.raises(Malformed, match="row 0: not a sound Parquet file") as caught:
        list(parquet.rows(file))
    assert "\n" not in caught.value.reason
    _write_parquet(file, {"text": [f"{i:06}" * 10 for i in range(20_000)]}, row_group_size=10_000, use_dictionary=False)
    raw = bytearray(file.read_bytes())
    raw[len(raw) // 2 : len(raw) // 2 + 50_000] = bytes(50_000)
    file.write_bytes(raw)
    before: Rows = []
    with pytest.raises(Malformed, match="not a sound Parquet file") as caught:
        before.extend(parquet.rows(file))
    assert caught.value.row == (len(before) + 1 if before else 0)


def test_a_parquet_string_that_is_not_text_is_refused_by_row(tmp_path: Path) -> None:
    import pyarrow

    file = tmp_path / "t.parquet"
    raw = pyarrow.array([b"fine"] * 300 + [b"\xff\xfe"] + [b"fine"] * 9, pyarrow.binary())
    strings = pyarrow.StringArray.from_buffers(len(raw), *raw.buffers()[1:])
    _write_parquet(file, {"text": strings})
    before = []
    with pytest.raises(Malformed, match="not UTF-8") as caught:
        before.extend(parquet.rows(file))
    assert (caught.value.row, len(before)) == (301, 300)


def test_parquet_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    import pyarrow
    from pyarrow.parquet import write_table

    file = tmp_path / "t.parquet"
    write_table(pyarrow.Table.from_arrays([pyarrow.array([1]), pyarrow.array([2])], names=["a", "a"]), file)
    with pytest.raises(Malformed, match="row 0: the table names a column twice: `a`"):
        list(parquet.rows(file))


@pytest.mark.parametrize("module", [csv, json, jsonl, parquet, tsv, txt])
def test_a_file_that_is_not_there_is_no_malformed_file(tmp_path: Path, module: ModuleType) -> None:
    with pytest.raises(FileNotFoundError):
        list(module.rows(tmp_path / "absent"))


# folders of images


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    folder = tmp_path / "pets"
    for name in ("dog/b.JPG", "dog/a.png", "cat/10.webp", "cat/9.jpeg", "cat-like/x.gif"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    return folder


def test_images_are_sorted_by_class_and_name(pets: Path) -> None:
    (pets / ".DS_Store").write_bytes(b"")
    (pets / "dog/.DS_Store").write_bytes(b"")
    (pets / ".ipynb_checkpoints").mkdir()
    assert list(image_folder.rows(pets)) == [
        (1, {"image": "cat/10.webp", "label": "cat"}),
        (2, {"image": "cat/9.jpeg", "label": "cat"}),
        (3, {"image": "cat-like/x.gif", "label": "cat-like"}),
        (4, {"image": "dog/a.png", "label": "dog"}),
        (5, {"image": "dog/b.JPG", "label": "dog"}),
    ]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("readme.txt", "`readme.txt` stands beside the classes"),
        ("a.png", "`a.png` stands beside the classes"),
        ("dog/notes.txt", "`dog/notes.txt` is no image by its name"),
        ("dog/more/a.png", "`dog/more` is a folder inside a class"),
        ("bird/.DS_Store", "the class `bird` has no images"),
    ],
)
def test_what_is_no_class_and_no_image_is_named(pets: Path, name: str, reason: str) -> None:
    (pets / name).parent.mkdir(parents=True, exist_ok=True)
    (pets / name).write_bytes(b"")
    with pytest.raises(Malformed) as caught:
        list(image_folder.rows(pets))
    assert (caught.value.row, reason in caught.value.reason) == (0, True), caught.value


def test_a_folder_without_classes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Malformed, match="row 0: the folder has no sub-folders"):
        list(image_folder.rows(tmp_path))


@pytest.mark.parametrize("name", ["bird", "dog/c.png"])
def test_links_out_of_the_folder_are_refused(pets: Path, name: str) -> None:
    outside = pets.parent / "pets-elsewhere"
    outside.mkdir()
    (outside / "c.png").write_bytes(b"")
    (pets / name).symlink_to(outside if name == "bird" else outside / "c.png")
    with pytest.raises(Malformed, match=f"`{name}` is a link that leads out of the folder"):
        list(image_folder.rows(pets))


def test_links_inside_the_folder_and_a_linked_folder_are_read(pets: Path) -> None:
    (pets / "dog/c.png").symlink_to("a.png")
    link = pets.parent / "link"
    link.symlink_to(pets)
    assert [row["image"] for _, row in image_folder.rows(link)][-1] == "dog/c.png"


def test_a_broken_link_is_refused(pets: Path) -> None:
    (pets / "dog/c.png").symlink_to("gone.png")
    with pytest.raises(Malformed, match=r"`dog/c\.png` is not a file"):
        list(image_folder.rows(pets))


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse the name themselves")
def test_a_name_that_is_not_text_is_refused(pets: Path) -> None:
    (Path(os.fsdecode(os.fsencode(pets) + b"/dog/\xff.png"))).write_bytes(b"")
    with pytest.raises(Malformed, match="is not UTF-8"):
        list(image_folder.rows(pets))


def test_floats_keep_their_value(read: Any) -> None:
    ((_, row),) = read(jsonl, '{"a": 0.1, "b": 1e-7, "c": -0.0, "d": 12345678901234567890}')
    assert (row["a"], row["b"], row["d"]) == (0.1, 1e-7, 12345678901234567890)
    assert math.copysign(1, row["c"]) == -1
