"""`extends`: one spec over another, each value at its place, each path as the file that writes it means it."""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path
from typing import Any

import pytest

from graftc.compiler.diagnostics import Refused, Span
from graftc.compiler.language.compose import joined
from graftc.compiler.language.overrides import override
from graftc.compiler.language.parse import parse
from graftc.compiler.language.places import PATHS
from graftc.compiler.language.source import LONGEST, MOST, Source, read
from graftc.compiler.language.spec import KEYS, TAGS, Table

from .conftest import SPEC, Project


def composed(folder: Path, **files: str) -> Source:
    """The composition of `spec.yaml`, whose keyword is `spec`, with the other files beside it."""
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(f"graftc: 1\n{text}")
    return read(folder / "spec.yaml", "spec.yaml")


MERGES: list[tuple[str, str, Any]] = [
    ("train: {epochs: 2}", "train: {batch_size: 4}", {"train": {"epochs": 2, "batch_size": 4}}),
    ("train: {epochs: 2}", "train: {epochs: 4}", {"train": {"epochs": 4}}),
    ("train: {epochs: 2, batch_size: 4}", "train: {epochs: null}", {"train": {"batch_size": 4}}),
    ("train: {epochs: 2}", "train:", {}),
    ("train: {epochs: 2}", "train: {max_steps: null}", {"train": {"epochs": 2, "max_steps": None}}),
    ("backbone: {from: ./a, freeze: [all]}", "backbone: {freeze: [norms, biases]}", {"backbone": {"from": "./a", "freeze": ("norms", "biases")}}),
    ("backbone: {from: ./a, freeze: [all]}", "backbone: {from: ./b}", {"backbone": {"from": "./b"}}),
    ("backbone: {from: ./a, freeze: [all]}", "backbone: {from: ./a}", {"backbone": {"from": "./a", "freeze": ("all",)}}),
    ("adapt: {method: lora, rank: 4}", "adapt: {method: probe}", {"adapt": {"method": "probe"}}),
    ("adapt: {method: lora, rank: 4}", "adapt: {method: lora, alpha: 8}", {"adapt": {"method": "lora", "rank": 4, "alpha": 8}}),
    ("adapt: {method: lora, rank: 4}", "adapt: {rank: 8}", {"adapt": {"method": "lora", "rank": 8}}),
    ("adapt: {rank: 4}", "adapt: {method: lora}", {"adapt": {"rank": 4, "method": "lora"}}),
    ("head: {type: a, labels: [x]}", "head: {type: b}", {"head": {"type": "b"}}),
    ("data: {train: {from: a, format: csv}}", "data: {train: {from: b}}", {"data": {"train": {"from": "b"}}}),
    ("data: {train: {from: a, format: csv}}", "data: {train: {split: x}}", {"data": {"train": {"from": "a", "format": "csv", "split": "x"}}}),
    ("data: {train: {from: a, format: csv}}", "data: {train: b}", {"data": {"train": "b"}}),
    ("data: {train: [a, b]}", "data: {train: [c]}", {"data": {"train": ("c",)}}),
    ("head: {loss: {class_weights: {type: 1.0, bug: 2.0}}}", "head: {loss: {class_weights: {type: 3.0}}}", {"head": {"loss": {"class_weights": {"type": 3.0, "bug": 2.0}}}}),
    ("seed: 3", "train: 5", {"seed": 3, "train": 5}),
]  # fmt: skip


@pytest.mark.parametrize(("base", "spec", "expected"), MERGES, ids=[f"{b} + {s}" for b, s, _ in MERGES])
def test_maps_merge_and_the_rest_replaces(base: str, spec: str, expected: dict[str, Any], tmp_path: Path) -> None:
    assert composed(tmp_path, base=base, spec=f"extends: base.yaml\n{spec}").data == {"graftc": 1, **expected}


FLAGS = [(flag.replace(": {", "={", 1), base, expected) for base, flag, expected in MERGES if flag.count(": {")]


@pytest.mark.parametrize(("flag", "base", "expected"), FLAGS, ids=[f"{b} + {f}" for f, b, _ in FLAGS])
def test_a_flag_composes_as_a_spec_does(flag: str, base: str, expected: dict[str, Any], tmp_path: Path) -> None:
    if "null" in flag and None in expected.get("train", {}).values():
        pytest.skip("a flag may remove what is not there")
    assert override(composed(tmp_path, spec=base), [flag]).data == {"graftc": 1, **expected}


def test_the_last_of_a_chain_decides_and_sections_stand_in_the_languages_order(tmp_path: Path) -> None:
    source = composed(
        tmp_path,
        spec="extends: middle.yaml\ntrain: {epochs: 3}\nname: child",
        middle="extends: base.yaml\ntrain: {epochs: 2, batch_size: 2}\nseed: 5",
        base="name: base\nexport: {opset: 17}\ntrain: {epochs: 1, batch_size: 1, warmup: 0.5}\ndata: {train: x}",
    )
    assert source.data == {
        "graftc": 1, "name": "child", "seed": 5, "data": {"train": "x"},
        "train": {"epochs": 3, "batch_size": 2, "warmup": 0.5}, "export": {"opset": 17},
    }  # fmt: skip
    assert list(source.data) == [key for key in KEYS if key in source.data]


def test_every_value_keeps_its_file_line_and_column(tmp_path: Path) -> None:
    source = composed(
        tmp_path,
        spec="extends: middle.yaml\ntrain: {epochs: 3}\nadapt: {method: probe}",
        middle="extends: base.yaml\ntrain:\n  batch_size: 2",
        base="name: base\nadapt: {method: lora, rank: 4}\nbackbone: {from: ./a, freeze: [all]}",
    )
    assert source.values["train", "epochs"] == Span("spec.yaml", 3, 17, 1)
    assert source.values["train", "batch_size"] == Span("middle.yaml", 4, 15, 1)
    assert source.keys["train", "batch_size"] == Span("middle.yaml", 4, 3, 10)
    assert source.values["backbone", "freeze", 0] == Span("base.yaml", 4, 32, 3)
    assert source.span(("adapt", "method")) == Span("spec.yaml", 4, 17, 5)
    assert ("adapt", "rank") not in source.values, "it went with the map that was replaced"
    assert source.span(("name",)).file == "base.yaml"
    assert source.lines("base.yaml")[1] == "name: base"
    assert source.about("base.yaml") == ("middle.yaml:2 extends base.yaml",)
    assert source.about("spec.yaml") == ()


def test_every_place_of_a_composition_is_one_of_its_own_values(tmp_path: Path) -> None:
    """Nothing is left of what was replaced or removed, and nothing that stays is without its place."""

    def paths(value: Any, path: tuple[str | int, ...] = ()) -> set[tuple[str | int, ...]]:
        items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, tuple) else ()
        return {path}.union(*(paths(inner, (*path, step)) for step, inner in items))

    for i, (base, spec, _) in enumerate(MERGES):
        folder = tmp_path / str(i)
        folder.mkdir()
        source = composed(folder, base=base, spec=f"extends: base.yaml\n{spec}")
        assert set(source.values) - {("extends",)} == paths(source.data)
        assert {path for path in source.keys if path != ("extends",)} == {
            path for path in paths(source.data) if path and isinstance(path[-1], str)
        }


SHARED = """\
graftc: 1
backbone: {from: REFERENCE}
data:
  train: [rows/train.jsonl, {from: ./more.jsonl, split: a}]
  validation: {from: rows/../rows/validation.jsonl}
  test: /there/test.jsonl
  columns: {text: body/text}
"""
REFERENCES = [
    ("./backbone", "shared/backbone"),
    ("../backbone", "backbone"),
    ("bundle:bundles/a", "bundle:shared/bundles/a"),
    ("package:name/model", "package:name/model"),
    ("hub:org/name@main", "hub:org/name@main"),
    ("/there/backbone", "/there/backbone"),
    ("nonsense:a/b", "nonsense:a/b"),
]


@pytest.mark.parametrize(("written", "means"), REFERENCES, ids=[written for written, _ in REFERENCES])
def test_paths_in_a_base_are_relative_to_the_base(written: str, means: str, tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared/base.yaml").write_text(SHARED.replace("REFERENCE", written))
    source = composed(tmp_path, spec="extends: shared/base.yaml\nname: a")
    assert source.data["backbone"]["from"] == means
    assert source.data["data"] == {
        "train": ("shared/rows/train.jsonl", {"from": "shared/more.jsonl", "split": "a"}),
        "validation": {"from": "shared/rows/validation.jsonl"},
        "test": "/there/test.jsonl",
        "columns": {"text": "body/text"},
    }
    assert source.folder == tmp_path


def test_a_path_through_several_folders_leads_where_it_led(tmp_path: Path) -> None:
    for folder in ("a/b", "c", "d"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "d/rows.jsonl").write_text("{}")
    (tmp_path / "a/b/spec.yaml").write_text("graftc: 1\nextends: ../middle.yaml\n")
    (tmp_path / "a/middle.yaml").write_text("graftc: 1\nextends: ../c/base.yaml\n")
    (tmp_path / "c/base.yaml").write_text("graftc: 1\ndata: {train: ../d/rows.jsonl}\n")
    source = read(tmp_path / "a/b/spec.yaml", "a/b/spec.yaml")
    assert source.data["data"]["train"] == "../../d/rows.jsonl"
    assert (source.folder / source.data["data"]["train"]).read_text() == "{}"
    assert [base.file for base in source.bases] == ["a/middle.yaml", "c/base.yaml"]


def test_dots_are_kept_where_a_link_makes_them_mean_something(tmp_path: Path) -> None:
    (tmp_path / "far/inner").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "far/inner")
    (tmp_path / "far/rows.jsonl").write_text("{}")
    assert joined("link", "../rows.jsonl", tmp_path) == "link/../rows.jsonl"
    assert (tmp_path / joined("link", "../rows.jsonl", tmp_path)).exists()
    assert joined("far/inner", "../rows.jsonl", tmp_path) == "far/rows.jsonl"
    assert joined("far", "nul\0", tmp_path) == "far/nul\0"


def test_what_the_language_knows_of_paths_and_variants_is_true() -> None:
    from graftc.compiler.language.spec import SECTIONS

    for path in (*PATHS, *TAGS):
        model = SECTIONS.get(str(path[0]))
        names = {field.alias or name for name, field in model.model_fields.items()} if model else set()
        assert model is None or len(path) == 1 or path[1] in names, path
    tables = {name for name, field in SECTIONS["data"].model_fields.items() if Table.__name__ in str(field.annotation)}
    assert tables == {path[1] for path in PATHS if path[0] == "data"}, "a key with tables has their paths"


def test_a_child_of_three_lines_plans_as_the_whole_spec_does(project: Project) -> None:
    (project.folder / "shared").mkdir()
    whole = project.graftc("plan", "spec.yaml", "--json", "--set", "adapt.rank=2")
    moved = SPEC.replace("./backbone", "../backbone").replace(": train.jsonl", ": ../train.jsonl")
    project.write("shared/base.yaml", moved.replace(": validation.jsonl", ": ../validation.jsonl"))
    project.write("spec.yaml", "graftc: 1\nextends: shared/base.yaml\nadapt: {rank: 2}\n")
    child = project.graftc("plan", "spec.yaml", "--json")
    one, other = json.loads(whole.out), json.loads(child.out)
    assert one["spec"].pop("backbone") == {"from": "./backbone", "freeze": ["embeddings", "layers[0:2]"]}
    assert other["spec"].pop("backbone") == {"from": "backbone", "freeze": ["embeddings", "layers[0:2]"]}
    assert one["backbone"].pop("source").strip("./") == other["backbone"].pop("source")
    assert one == other
    assert "extends" not in other["spec"]


def test_a_mistake_in_a_base_is_shown_there_with_who_extends_it(project: Project) -> None:
    project.write("base.yaml", SPEC.replace("epochs: 2", "epoch: 2"))
    project.write("spec.yaml", "graftc: 1\nextends: base.yaml\nadapt: {rank: two}\n")
    answer = project.validate()
    assert [(f.code, f.place, f.under) for f in answer.findings] == [
        ("E0202", "spec.yaml:3:15", "two"),
        ("E0201", "base.yaml:26:3", "epoch"),
    ]
    assert "note: spec.yaml:2 extends base.yaml" in answer.findings[1].notes
    assert "extends" not in answer.findings[0].notes
    listing = json.loads(project.validate("--format", "json").out)["findings"]
    assert [item["file"] for item in listing] == ["spec.yaml", "base.yaml"]


def test_bad_yaml_in_a_base_is_shown_there(project: Project) -> None:
    project.write("middle.yaml", "graftc: 1\nextends: base.yaml\n")
    project.write("spec.yaml", "graftc: 1\nextends: middle.yaml\n")
    for text, code, place in (
        ("graftc: 1\ntrain: &x 1\n", "E0103", "base.yaml:2:8"),
        ("", "E0107", "base.yaml:1:1"),
        ("- a\n", "E0204", "base.yaml:1:1"),  # nothing says that it is a spec, so nothing of it is shown
        (b"graftc: 1\nname: \xff\n", "E0106", "base.yaml:2:1"),
        ("name: a\n", "E0204", "base.yaml:1:1"),
        ("name: a\ngraftc: 2\n", "E0208", "base.yaml:2:9"),
        ("graftc: 1\nextends: nowhere.yaml\n", "E0220", "base.yaml:2:10"),
        ("graftc: 1\nextends: 5\n", "E0202", "base.yaml:2:10"),
    ):
        project.write("base.yaml", text)
        answer = project.validate()
        assert [(f.code, f.place) for f in answer.findings] == [(code, place)], text
        assert answer.status == 1
        assert "middle.yaml:2 extends base.yaml" in answer.findings[0].notes


def test_a_circle_names_every_step(project: Project) -> None:
    project.write("spec.yaml", "graftc: 1\nextends: a.yaml\n")
    project.write("a.yaml", "graftc: 1\n# one more line\nextends: b.yaml\n")
    project.write("b.yaml", "graftc: 1\nextends: ./a.yaml\n")
    answer = project.validate()
    assert [(f.code, f.place) for f in answer.findings] == [("E0221", "b.yaml:2:10")]
    assert answer.findings[0].notes.splitlines()[:2] == [
        "note: a.yaml:3 extends b.yaml",
        "note: b.yaml:2 extends a.yaml",
    ]
    (project.folder / "link.yaml").symlink_to("a.yaml")
    project.write("b.yaml", "graftc: 1\nextends: link.yaml\n")
    assert project.validate().codes == ["E0221"], "under another name too"


def test_a_chain_ends_somewhere(project: Project) -> None:
    def write(count: int) -> None:
        for i in range(count - 2):
            project.write(f"f{i}.yaml", f"graftc: 1\nextends: f{i + 1}.yaml\n")
        project.write(f"f{count - 2}.yaml", SPEC)
        project.write("spec.yaml", "graftc: 1\nextends: f0.yaml\n")

    write(LONGEST)
    assert project.validate().status == 0
    write(LONGEST + 1)
    answer = project.validate()
    assert answer.codes == ["E0222"]
    assert answer.findings[0].place == f"f{LONGEST - 2}.yaml:2:10"


def test_what_is_no_file_is_refused_and_never_waited_for(project: Project) -> None:
    os.mkfifo(project.folder / "pipe.yaml")
    (project.folder / "loop.yaml").symlink_to("loop.yaml")
    for name, reason in (
        ("pipe.yaml", "it is a pipe or a device"),
        ("/dev/zero", "it is a pipe or a device"),
        ("loop.yaml", "symbolic links"),
        ("backbone", "it is a folder"),
    ):
        start = time.monotonic()
        answer = project.graftc("validate", name)
        assert (answer.status, answer.codes) == (1, ["E0106"])
        assert reason in answer.err
        project.write("spec.yaml", f"graftc: 1\nextends: {name}\n")
        answer = project.validate()
        assert (answer.status, answer.codes) == (1, ["E0220"])
        assert reason in answer.err
        assert time.monotonic() - start < 5


def test_too_many_keys_are_too_many_however_they_are_spread(tmp_path: Path) -> None:
    many = "labels: [" + "a, " * (MOST // 2) + "]"
    with pytest.raises(Refused) as refused:
        composed(tmp_path, spec="extends: base.yaml\nhead: {" + many + "}", base="head: {" + many + "}")
    assert [d.code for d in refused.value.diagnostics] == ["E0106"]


HUGE = {
    "keys": "".join(f"k{i}: 1\n" for i in range(90_000)),
    "keys on one line": "{" + ", ".join(f"k{i}: 1" for i in range(80_000)) + "}",
    "items on one line": "a: [" + "b, " * 300_000 + "]",
    "items": "a:\n" + "- b\n" * 250_000,
}


@pytest.mark.parametrize("name", HUGE)
def test_huge_numbers_of_keys_end_in_a_message(name: str, project: Project) -> None:
    project.write("spec.yaml", HUGE[name])
    start = time.monotonic()
    answer = project.validate()
    assert time.monotonic() - start < 15, "five seconds, and the machine may be busy"
    assert (answer.status, answer.codes) == (1, ["E0106"])


def test_a_spec_of_elsewhere_is_read_with_its_bases(tmp_path: Path) -> None:
    files = {"spec.yaml": b"graftc: 1\nextends: base.yaml\n", "base.yaml": b"graftc: 1\nname: there\n"}
    source = read(tmp_path / "spec.yaml", "spec.yaml", lambda path: files[path.name])
    assert source.data == {"graftc": 1, "name": "there"}


def test_a_flag_never_says_what_is_extended(project: Project) -> None:
    answer = project.validate("--set", "extends=other.yaml")
    assert (answer.status, answer.codes) == (2, ["E0211"])
    source = override(read(Path("spec.yaml")), ["train.epochs=1", "train.epochs=5"])
    assert parse(source).train.epochs == 5, "the last flag decides"


def test_a_flag_that_removes_nothing_is_fine_unless_its_key_is_nobodys(project: Project) -> None:
    assert project.validate("--set", "train.max_steps=", "--set", "export.gate.parity=").status == 0
    for flag in ("train.epoch=", "train.rank=", "trian.epochs=", "adapt.target.deep="):
        answer = project.validate("--set", flag)
        assert answer.status == 1, flag
        assert {found.place.rpartition(":")[0] for found in answer.findings} == {"--set:1"}, answer.err


REMOVED = {
    "head: null": ("E0204", "3:1"),
    "backbone: {from: null}": ("E0202", "3:12"),
    "adapt: {method: null}": ("E0202", "3:9"),
    "data: {validation: null}": ("W0304", "3:8"),
    "data:\n  train: null": ("E0204", "4:3"),
}


@pytest.mark.parametrize("written", REMOVED)
def test_what_lacks_because_a_child_removed_it_is_told_where_it_did(written: str, project: Project) -> None:
    project.spec.rename(project.folder / "base.yaml")
    project.write("spec.yaml", f"graftc: 1\nextends: base.yaml\n{written}\n")
    code, place = REMOVED[written]
    assert (code, f"spec.yaml:{place}") in {(found.code, found.place) for found in project.validate().findings}
    project.write("grandchild.yaml", "graftc: 1\nname: grandchild\nextends: spec.yaml\n")
    answer = project.graftc("validate", "grandchild.yaml")
    assert (code, f"spec.yaml:{place}") in {(found.code, found.place) for found in answer.findings}
    key = ".".join(re.findall(r"\w+(?=:)", written))
    answer = project.graftc("plan", "base.yaml", "--set", f"{key}=null")
    assert (code, "--set:1:1") in {(found.code, found.place) for found in answer.findings}, answer.err
