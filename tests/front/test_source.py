"""Reading a spec's text: YAML 1.2's words, every value with its place, and nothing that YAML has too much."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from graftc.compiler.diagnostics import Refused, Span
from graftc.compiler.language.source import LARGEST, parse_text, read

from .conftest import Project


def parse(text: str) -> object:
    return parse_text(text, "spec.yaml", Path()).data


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("1.0e-4", 1e-4),
        ("2E5", 2e5),
        (".5", 0.5),
        ("-3", -3),
        ("+3", 3),
        ("no", "no"),
        ("on", "on"),
        ("yes", "yes"),
        ("true", True),
        ("False", False),
        ("~", None),
        ("null", None),
        ("", None),
        ("007", "007"),
        ("1_000", "1_000"),
        ("12:30:45", "12:30:45"),
        ("2024-01-01", "2024-01-01"),
        ("'5'", "5"),
        ("[1, two, 3.0]", (1, "two", 3.0)),
        ("{a: 1}", {"a": 1}),
        ("|\n  one\n  two", "one\ntwo\n"),
        (">-\n  one\n  two", "one two"),
    ],
)
def test_words_are_those_of_yaml_1_2(text: str, value: object) -> None:
    assert parse(f"key: {text}\n") == {"key": value}


def test_a_number_stays_of_its_kind() -> None:
    assert type(parse("a: 1")["a"]) is int
    assert type(parse("a: 1.0")["a"]) is float


def test_every_key_and_value_knows_its_place() -> None:
    source = parse_text("a:\n  b: [x, 'yy']\n  ü: 1 # comment\n", "s", Path())
    assert source.keys["a", "b"] == Span("s", 2, 3, 1)
    assert source.values["a", "b"] == Span("s", 2, 6, 9)
    assert source.values["a", "b", 1] == Span("s", 2, 10, 4)
    assert source.values["a", "ü"] == Span("s", 3, 6, 1)


def test_a_path_that_was_not_written_is_at_its_nearest_ancestor() -> None:
    source = parse_text("a:\n  b: {c: 1}\n", "s", Path())
    assert source.span(("a", "b", "d", "e")) == source.values["a", "b"]
    assert source.span(("z",)) is None


def test_line_ends_of_any_system_and_a_byte_order_mark_are_read(tmp_path: Path) -> None:
    file = tmp_path / "spec.yaml"
    file.write_bytes(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n")
    source = read(file)
    assert source.data == {"a": 1, "b": 2}
    assert source.values["b",].line == 2


BROKEN = [
    ("a: 1\na: 2\n", "E0102", "`a` is written twice", "2:1"),
    ("a: {b: 1, b: 2}\n", "E0102", "`b` is written twice", "1:11"),
    ("a: &here 1\n", "E0103", "anchors", "1:4"),
    ("a: &unused [1]\n", "E0103", "anchors", "1:4"),
    ("a: &unused {b: 1}\n", "E0103", "anchors", "1:4"),
    ("&key a: 1\n", "E0103", "anchors", "1:1"),
    ("a: *nowhere\n", "E0103", "aliases", "1:4"),
    ("<<: {a: 1}\n", "E0103", "merge keys", "1:1"),
    ("a: {<<: {b: 1}}\n", "E0103", "merge keys", "1:5"),
    ("a: !!str 1\n", "E0103", "tags", "1:4"),
    ("a: !local {b: 1}\n", "E0103", "tags", "1:4"),
    ("a: !!python/object/apply:os.system ['true']\n", "E0103", "tags", "1:4"),
    ("!!map {a: 1}\n", "E0103", "tags", "1:1"),
    ("a: !e!x 1\n", "E0103", "tags", "1:4"),
    ("a: ! 1\n", "E0103", "tags", "1:4"),
    ("a:\n\tb: 1\n", "E0104", "a tab indents this line", "2:1"),
    ("a: \t{b: 1}\n", "E0104", "only spaces", "1:4"),
    ("a: [layers[0:4]]\n", "E0105", "needs quotes", "1:5"),
    ("a: [embeddings, layers[0:4]]\n", "E0105", "needs quotes", "1:17"),
    ("a: [encoder.layers[0:4], x]\n", "E0105", "needs quotes", "1:5"),
    ("a: b: c\n", "E0101", "not YAML", "1:5"),
    ("a: [1, 2\n", "E0101", "not YAML", "1:4"),
    ("a: 'open\n", "E0101", "not YAML", "1:4"),
    ("a: @x\n", "E0101", "not YAML", "1:4"),
    ("a: 1\n b: 2\n", "E0101", "not YAML", "2:3"),
    ("a: 1\n---\nb: 2\n", "E0101", "second document", "2:1"),
    ("- 1\n", "E0101", "not a mapping", "1:1"),
    ("just words\n", "E0101", "not a mapping", "1:1"),
    ("? [a, b]\n: 1\n", "E0101", "a key is a list", "1:3"),
    ("a: 1\nb: x\x1b[31mred\n", "E0101", "control character", "2:5"),
    ("a: 1\nb: \x00\n", "E0101", "control character", "2:4"),
    ('a: "\\ud800"\n', "E0101", "half of a character", "1:4"),
    ('"\\udc00": 1\n', "E0101", "half of a character", "1:1"),
    (f"a: {'9' * 5000}\n", "E0101", "can't be read", "1:4"),
    (f"a: {'[' * 5000}\n", "E0101", "nested too deeply", "1:43"),
    (f"a: {'{b: ' * 5000}\n", "E0101", "nested too deeply", "1:157"),
    ("".join(f"{' ' * i}a:\n" for i in range(1000)), "E0101", "nested too deeply", "40:40"),
    ("", "E0107", "empty", "1:1"),
    ("# nothing but a comment\n", "E0107", "empty", "1:1"),
    ("---\n...\n", "E0107", "empty", "1:1"),
]


@pytest.mark.parametrize(("text", "code", "words", "place"), BROKEN, ids=[repr(case[0][:20]) for case in BROKEN])
def test_what_is_not_the_specs_yaml_is_refused_where_it_stands(
    text: str, code: str, words: str, place: str, project: Project
) -> None:
    project.write("spec.yaml", text)
    answer = project.validate()
    assert answer.status == 1
    assert [(f.code, f.place) for f in answer.findings] == [(code, f"spec.yaml:{place}")], answer.err
    assert words in answer.findings[0].headline
    assert len(answer.err) < 2000


def test_every_anchor_alias_and_tag_is_found_at_once() -> None:
    with pytest.raises(Refused) as refused:
        parse("a: &x !!int 1\nb: *x\nc: !foo {d: &y 2}\n")
    assert [d.code for d in refused.value.diagnostics] == ["E0103"] * 5


FILES = [
    (b"a: \xff\n", "E0106", "not UTF-8"),
    ("a: 1".encode("utf-16"), "E0106", "not UTF-8"),
    (b"a: 1 # " + b"x" * (10 << 20), "E0106", "too large"),
    (b"a: [" + b"1, " * (3 << 20), "E0106", "too large"),
]


@pytest.mark.parametrize(("content", "code", "words"), FILES)
def test_a_file_that_is_no_text_of_a_specs_size_is_refused(
    content: bytes, code: str, words: str, project: Project
) -> None:
    project.write("spec.yaml", content)
    start = time.monotonic()
    answer = project.validate()
    assert (answer.status, answer.codes) == (1, [code])
    assert words in answer.err
    assert answer.findings[0].place.startswith("spec.yaml")
    assert time.monotonic() - start < 2


def test_a_missing_spec_a_folder_and_an_unreadable_name_are_refused(project: Project) -> None:
    for name, reason in (("nowhere.yaml", "no such file"), (".", "it is a folder"), ("x" * 300, "too long")):
        answer = project.graftc("validate", name)
        assert (answer.status, answer.codes) == (1, ["E0106"])
        assert reason in answer.err
    with pytest.raises(Refused):
        read(Path("nul\0.yaml"))


def test_a_folder_that_holds_a_spec_is_told_where(project: Project) -> None:
    (project.folder / "bundle").mkdir()
    project.write("bundle/spec.yaml", "graftc: 1\n")
    answer = project.graftc("validate", "bundle")
    assert (answer.status, answer.codes) == (1, ["E0106"])
    assert "did you mean `bundle/spec.yaml`?" in answer.err


def test_a_spec_as_large_as_may_be_is_read_in_a_few_seconds() -> None:
    labels = "".join(f"    - label {i}\n" for i in range(20_000))
    assert len(labels) < LARGEST
    start = time.monotonic()
    parse(f"head:\n  labels:\n{labels}")
    assert time.monotonic() - start < 10
