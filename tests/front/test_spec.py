"""The shape of a spec: every key, kind and range, each mistake said once, at its place, with a way out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel

from graftc.compiler import variants
from graftc.compiler.language.spec import SECTIONS, VARIANTS, Top

from .cli import Command
from .conftest import SPEC, Project

# what to replace in the spec, by what, then code, headline, the text under the carets, and the help
Case = tuple[str, str, str, str, str, str]

UNKNOWN: list[Case] = [
    ("name: triage", "name: triage\ncolour: red", "E0201", "unknown key `colour`", "colour", ""),
    ("name: triage", "nmae: triage", "E0201", "unknown key `nmae`", "nmae", "did you mean `name`?"),
    ("train:\n", "trian:\n", "E0201", "unknown key `trian`", "trian", "did you mean `train`?"),
    ("  freeze:", "  freez:", "E0201", "unknown key `freez`", "freez", "did you mean `freeze`?"),
    ("  rank: 4", "  rnak: 4", "E0201", "unknown key `rnak`", "rnak", "did you mean `rank`?"),
    ("  dropout: 0.1", "  dropuot: 0.1", "E0201", "unknown key `dropuot`", "dropuot", "did you mean `dropout`?"),
    ("  train: train", "  trian: train", "E0201", "unknown key `trian`", "trian", "did you mean `train`?"),
    ("  epochs: 2", "  epoch: 2", "E0201", "unknown key `epoch`", "epoch", "did you mean `epochs`?"),
    ("  precision: [fp32]", "  precison: [fp32]", "E0201", "unknown key `precison`", "precison", "`precision`?"),
    ("  dropout: 0.1", "  loss: {smoothing: 0.1}", "E0201", "unknown key `smoothing`", "smoothing", "label_smoothing"),
    ("  epochs: 2", "  early_stopping: {patients: 2}", "E0201", "unknown key `patients`", "patients", "`patience`?"),
    ("  epochs: 2", "  learning_rate: {backbone: 1e-3, hed: 1e-3}", "E0201", "unknown key `hed`", "hed", "`head`?"),
    ("  precision: [fp32]", "  gate: {pairty: 1}", "E0201", "unknown key `pairty`", "pairty", "`parity`?"),
    ("validation: validation.jsonl", "validation: {fractoin: 0.1}", "E0201", "unknown key `fractoin`", "fractoin", "`fraction`?"),
    ("validation: validation.jsonl", "validation: {from: a.csv, formt: csv}", "E0201", "unknown key `formt`", "formt", "`format`?"),
    ("train: train.jsonl", "train: [train.jsonl, {from: a.csv, splt: x}]", "E0201", "unknown key `splt`", "splt", "`split`?"),
]  # fmt: skip

MISPLACED: list[Case] = [
    ("  epochs: 2", "  rank: 8", "E0207", "`rank` does not belong under `train`", "rank", "move it under `adapt`"),
    ("  precision: [fp32]", "  epochs: 3", "E0207", "`epochs` does not belong under `export`", "epochs", "move it under `train`"),
    ("  dropout: 0.1", "  max_length: 9", "E0207", "`max_length` does not belong under `head`", "max_length", "move it under `data`"),
    ("  rank: 4", "  freeze: [all]", "E0207", "`freeze` does not belong under `adapt`", "freeze", "move it under `backbone`"),
    ("  epochs: 2", "  seed: 1", "E0207", "`seed` does not belong under `train`", "seed", "to the top of the spec"),
    ("  epochs: 2", "  labels: [a]", "E0207", "`labels` does not belong under `train`", "labels", "move it under `head`"),
    ("  max_length: 32", "  image_size: 32", "E0207", "`image_size` does not belong under `data`", "image_size", "image inputs"),
    ("name: triage", "name: triage\nepochs: 3", "E0207", "`epochs` does not belong at the top of the spec", "epochs", "under `train`"),
    ("name: triage", "name: triage\nmethod: lora", "E0207", "`method` does not belong at the top of the spec", "method", "move it under `adapt`"),
    ("  method: lora\n  rank: 4\n  target: [query, value]", "  method: probe\n  rank: 4", "E0207", "`rank` does not belong", "rank", "use it with `method: lora`"),
]  # fmt: skip

KINDS: list[Case] = [
    ("epochs: 2", "epochs: two", "E0202", "`epochs` has the wrong kind of value", "two", ""),
    ("epochs: 2", "epochs: 2.5", "E0202", "`epochs` has the wrong kind of value", "2.5", ""),
    ("epochs: 2", "epochs: '2'", "E0202", "`epochs` has the wrong kind of value", "'2'", ""),
    ("epochs: 2", "epochs: true", "E0202", "`epochs` has the wrong kind of value", "true", ""),
    ("epochs: 2", "epochs: [2]", "E0202", "`epochs` has the wrong kind of value", "[2]", ""),
    ("epochs: 2", "epochs: {a: 1}", "E0202", "`epochs` has the wrong kind of value", "{a: 1}", ""),
    ("epochs: 2", "epochs:", "E0202", "`epochs` has no value", "epochs", "remove the key"),
    ("rank: 4", "rank: null", "E0202", "`rank` has no value", "rank", "remove the key"),
    ("dropout: 0.1", "dropout: high", "E0202", "`dropout` has the wrong kind of value", "high", ""),
    ("dropout: 0.1", "dropout: .nan", "E0202", "`dropout` has the wrong kind of value", ".nan", ""),
    ("dropout: 0.1", "loss: 1", "E0202", "`loss` has the wrong kind of value", "1", ""),
    ("dropout: 0.1", "loss: {class_weights: heavy}", "E0202", "`heavy` is not a value of `class_weights`", "heavy", ""),
    ("dropout: 0.1", "loss: {class_weights: {bug: much}}", "E0202", "`bug` has the wrong kind", "much", ""),
    ("dropout: 0.1", "labels: billing", "E0202", "`labels` has the wrong kind of value", "billing", "write `[billing]`"),
    ("dropout: 0.1", "labels: [1.5, a]", "E0202", "`labels` has the wrong kind of value", "1.5", ""),
    ("dropout: 0.1", "labels: []", "E0202", "`labels` is empty", "[]", ""),
    ("dropout: 0.1", "labels: [a, null]", "E0202", "`labels` has no value", "null", ""),
    ("dropout: 0.1", "pooling: maximum", "E0202", "`maximum` is not a value of `pooling`", "maximum", ""),
    ("name: triage", "name: Triage One", "E0202", "`name` is not a slug", "Triage One", ""),
    ("name: triage", "name: ../up", "E0202", "`name` is not a slug", "../up", ""),
    ("name: triage", "name: 5", "E0202", "`name` has the wrong kind of value", "5", ""),
    ("name: triage", "name: triage\nseed: -1", "E0205", "`seed` is out of range", "-1", ""),
    ("name: triage", "name: triage\nseed: 99999999999999999999", "E0205", "`seed` is out of range", "99999999999999999999", ""),
    ("from: ./backbone", "from: [a]", "E0202", "`from` has the wrong kind of value", "[a]", ""),
    ("from: ./backbone", "from: ''", "E0202", "`from` is empty", "''", ""),
    ("  freeze:\n    - embeddings\n    - layers[0:2]", "  freeze: layers[0:2]", "E0202", "`freeze` has the wrong kind of value", "layers[0:2]", 'write `["layers[0:2]"]`'),
    ("  target: [query, value]", "  target: {a: b}", "E0202", "`target` has the wrong kind of value", "{a: b}", ""),
    ("  target: [query, value]", "  target: []", "E0202", "`target` is empty", "[]", ""),
    ("  target: [query, value]", "  dora: 1", "E0202", "`dora` has the wrong kind of value", "1", ""),
    ("  target: [query, value]", "  dora: 'no'", "E0202", "`dora` has the wrong kind of value", "'no'", ""),
    ("train: train.jsonl", "train: 5", "E0202", "`train` has the wrong kind of value", "5", ""),
    ("train: train.jsonl", "train: {form: a.csv}", "E0201", "unknown key `form`", "form", "did you mean `from`?"),
    ("{text: body, label: queue}", "[text, label]", "E0202", "`columns` has the wrong kind of value", "[text, label]", ""),
    ("{text: body, label: queue}", "{text: 5}", "E0202", "`text` has the wrong kind of value", "5", ""),
    ("{text: body, label: queue}", "{text: []}", "E0202", "`text` is empty", "[]", ""),
    ("max_length: 32", "max_length: long", "E0202", "`max_length` has the wrong kind of value", "long", ""),
    ("epochs: 2", "schedule: square", "E0202", "`square` is not a value of `schedule`", "square", ""),
    ("epochs: 2", "schedule: liner", "E0202", "`liner` is not a value of `schedule`", "liner", "did you mean `linear`?"),
    ("epochs: 2", "fold: [fp32]", "E0202", "`fold` has the wrong kind of value", "[fp32]", ""),
    ("epochs: 2", "learning_rate: fast", "E0202", "`learning_rate` has the wrong kind of value", "fast", ""),
    ("epochs: 2", "learning_rate: {backbone: 1e-3}", "E0204", "`head` is missing under `learning_rate`", "learning_rate", "add `head:`"),
    ("precision: [fp32]", "precision: fp32", "E0202", "`precision` has the wrong kind of value", "fp32", "write `[fp32]`"),
    ("precision: [fp32]", "precision: [fp64]", "E0202", "`fp64` is not a value of `precision`", "fp64", ""),
    ("precision: [fp32]", "precision: []", "E0202", "`precision` is empty", "[]", ""),
    ("precision: [fp32]", "optimize: tensorrt", "E0202", "`tensorrt` is not a value of `optimize`", "tensorrt", ""),
]  # fmt: skip

RANGES: list[Case] = [
    ("epochs: 2", "epochs: -1", "E0205", "`epochs` is out of range", "-1", ""),
    ("epochs: 2", "epochs: 1000000", "E0205", "`epochs` is out of range", "1000000", ""),
    ("epochs: 2", "max_steps: -1", "E0205", "`max_steps` is out of range", "-1", ""),
    ("epochs: 2", "batch_size: 0", "E0205", "`batch_size` is out of range", "0", ""),
    ("epochs: 2", "warmup: 1.0", "E0205", "`warmup` is out of range", "1.0", ""),
    ("epochs: 2", "learning_rate: 0", "E0205", "`learning_rate` is out of range", "0", ""),
    ("epochs: 2", "learning_rate: 100", "E0205", "`learning_rate` is out of range", "100", ""),
    ("epochs: 2", "learning_rate: {backbone: -1, head: 1}", "E0205", "`backbone` is out of range", "-1", ""),
    ("epochs: 2", "early_stopping: {patience: 0}", "E0205", "`patience` is out of range", "0", ""),
    ("rank: 4", "rank: 0", "E0205", "`rank` is out of range", "0", ""),
    ("dropout: 0.1", "dropout: 1", "E0205", "`dropout` is out of range", "1", ""),
    ("dropout: 0.1", "hidden: [0]", "E0205", "`hidden` is out of range", "0", ""),
    ("dropout: 0.1", "hidden: [8, -8]", "E0205", "`hidden` is out of range", "-8", ""),
    ("dropout: 0.1", "loss: {class_weights: {bug: -1}}", "E0205", "`bug` is out of range", "-1", ""),
    ("max_length: 32", "max_length: 1", "E0205", "`max_length` is out of range", "1", ""),
    ("validation: validation.jsonl", "validation: {fraction: 1.0}", "E0205", "`fraction` is out of range", "1.0", ""),
    ("precision: [fp32]", "opset: 9", "E0205", "`opset` is out of range", "9", ""),
    ("precision: [fp32]", "gate: {parity: 2}", "E0205", "`parity` is out of range", "2", ""),
]  # fmt: skip

WORDS: list[Case] = [
    ("method: lora", "method: lroa", "E0203", "unknown method `lroa`", "lroa", "did you mean `lora`?"),
    ("method: lora", "method: magic", "E0203", "unknown method `magic`", "magic", ""),
    ("method: lora", "method: 5", "E0203", "`5` names no method", "5", ""),
    ("method: lora", "method: [lora]", "E0203", "`method` names no method", "[lora]", ""),
    ("  method: lora\n", "", "E0204", "`method` is missing under `adapt`", "adapt", "add `method:`"),
    ("type: text-classification", "type: text-clasification", "E0203", "unknown type `text-clasification`", "text-clasification", "did you mean `text-classification`?"),
    ("type: text-classification", "type: text_classification", "E0203", "unknown type `text_classification`", "text_classification", "did you mean `text-classification`?"),
    ("type: text-classification", "type:", "E0202", "`type` has no value", "type", ""),
    ("type: text-classification", "type: __init__", "E0203", "unknown type `__init__`", "__init__", ""),
    ("type: text-classification", "type: ../methods/lora", "E0203", "unknown type `../methods/lora`", "../methods/lora", ""),
    ("graftc: 1", "graftc: 2", "E0208", "language version 2 is not known", "2", "upgrade graftc"),
    ("graftc: 1", "graftc: 99999999999999999999999", "E0208", "language version 99999999999999999999999 is not known", "99999999999999999999999", "upgrade graftc"),
    ("graftc: 1", "graftc: 0", "E0208", "`graftc` names no language version", "0", "write `graftc: 1`"),
    ("graftc: 1", "graftc: one", "E0208", "`graftc` names no language version", "one", "write `graftc: 1`"),
    ("graftc: 1", "graftc: 1.0", "E0208", "`graftc` names no language version", "1.0", "write `graftc: 1`"),
    ("graftc: 1", "graftc: true", "E0208", "`graftc` names no language version", "true", "write `graftc: 1`"),
    ("graftc: 1", "graftc:", "E0208", "`graftc` names no language version", "", "write `graftc: 1`"),
    ("graftc: 1\n", "", "E0204", "`graftc` is missing", "n", "begin the spec with `graftc: 1`"),
    ("name: triage\n", "", "E0204", "`name` is missing", "g", "add `name:`"),
    ("  from: ./backbone\n", "", "E0204", "`from` is missing under `backbone`", "backbone", "add `from:`"),
    ("  train: train.jsonl\n", "", "E0204", "`train` is missing under `data`", "data", "add `train:`"),
    ("name: triage", "name: triage\nextends: base.yaml", "E0220", "the base `base.yaml` can't be read", "base.yaml", "give the path of a spec"),
    ("name: triage", "name: triage\nextends: .", "E0220", "the base `.` can't be read", ".", "give the path of a spec"),
    ("name: triage", "name: triage\nextends: 'a\\0b'", "E0220", "the base `a\\0b` can't be read", "'a\\0b'", "give the path of a spec"),
    ("name: triage", "name: triage\nextends: spec.yaml", "E0221", "`extends` goes in a circle", "spec.yaml", "remove one"),
    ("name: triage", "name: triage\nextends: [spec.yaml]", "E0202", "`extends` has the wrong kind of value", "[spec.yaml]", ""),
    ("name: triage", "name: triage\nextends: ''", "E0202", "`extends` is empty", "''", ""),
    ("name: triage", "name: triage\nextends:", "E0202", "`extends` has no value", "extends", "write a value, or remove the key"),
    ("name: triage", "name: triage\npretrain: []", "E0202", "`pretrain` is not a list of stages", "[]", ""),
    ("name: triage", "name: triage\nheads: {a: {type: text-classification}}", "E0209", "`head` and `heads` are both given", "heads", "write it as an entry of `heads`"),
    ("precision: [fp32]", "samples: mine.jsonl", "E0206", "golden samples from a file are not available yet", "mine.jsonl", ""),
]  # fmt: skip


@pytest.mark.parametrize("case", UNKNOWN + MISPLACED + KINDS + RANGES + WORDS, ids=lambda case: case[1].strip()[:50])
def test_one_mistake_is_one_message_under_the_word_that_is_wrong(case: Case, project: Project) -> None:
    old, new, code, headline, under, help = case
    project.replace(old, new)
    answer = project.validate()
    assert answer.status == 1
    assert [word for word in answer.codes if word.startswith("E")] == [code], answer.err
    found = answer.findings[0]
    assert headline in found.headline
    assert found.under == under
    assert found.place.startswith("spec.yaml:")
    assert help in found.notes


@pytest.mark.parametrize("section", ["backbone", "adapt", "head", "data", "train", "export"])
@pytest.mark.parametrize("value", ["", "words", "5", "[a, b]", "true"])
def test_a_section_that_is_no_mapping_is_said_at_its_place(section: str, value: str, project: Project) -> None:
    spec = yaml.safe_load(SPEC)
    project.write(
        "spec.yaml",
        "".join(
            f"{k}: {'' if k == section else json.dumps(v)}{value if k == section else ''}\n" for k, v in spec.items()
        ),
    )
    answer = project.validate()
    if section in ("train", "export") and not value:
        assert answer.status == 0, "all of their keys have defaults"
        return
    assert answer.status == 1
    assert answer.codes == ["E0204" if not value else "E0202"], answer.err
    assert f"`{section}` is" in answer.findings[0].headline
    assert answer.findings[0].under == (value or section)


@pytest.mark.parametrize("section", ["backbone", "head", "data"])
def test_a_section_that_is_missing_is_said_once(section: str, project: Project) -> None:
    spec = yaml.safe_load(SPEC)
    del spec[section]
    project.write("spec.yaml", json.dumps(spec))
    answer = project.validate()
    assert (answer.status, answer.codes) == (1, ["E0204"])
    assert f"`{section}` is missing" in answer.err


def test_an_unknown_head_silences_what_depends_on_it(project: Project) -> None:
    project.replace("type: text-classification", "type: text-clasification\n  nonsense: 1")
    project.replace("max_length: 32", "max_length: 0\n  image_size: 1")
    answer = project.validate()
    assert answer.codes == ["E0203"], answer.err


def test_an_unknown_method_silences_its_fields(project: Project) -> None:
    project.replace("method: lora", "method: lroa\n  nonsense: 1")
    assert project.validate().codes == ["E0203"]


def test_a_mistake_of_shape_hides_nothing_of_the_world(project: Project) -> None:
    project.replace("from: ./backbone", "from: ./nowhere")
    project.replace("train: train.jsonl", "train: nowhere.jsonl")
    assert project.validate().codes == ["E0301", "E0310"]
    project.replace("epochs: 2", "epochs: two")
    assert project.validate().codes == ["E0301", "E0310", "E0202"]
    project.replace("type: text-classification", "type: text-clasification")
    assert project.validate().codes == ["E0301", "E0203", "E0310", "E0202"]


WHOLE = ("from: ./backbone", "rank: 4", "dropout: 0.1", "max_length: 32", "epochs: 2", "precision: [fp32]")


@pytest.mark.parametrize("other", WHOLE)
def test_an_unknown_key_in_any_section_hides_no_mistake_of_another_nor_of_its_own(other: str, project: Project) -> None:
    project.replace("layers[0:2]", "layers[0:12]")
    project.replace("[query, value]", "[query, valeu]")
    project.replace("text: body", "text: bdoy")
    project.replace("f1_macro", "f1_makro")
    project.replace(other, f"{other}\n  zzzz: 1")
    answer = project.validate()
    assert sorted(answer.codes) == ["E0201", "E0302", "E0308", "E0312", "E0321"], answer.err


CONSEQUENCES = [
    ("  validation: validation.jsonl", "  validaton: validation.jsonl", ["E0201"], "no warning that there is none"),
    ("  validation: validation.jsonl", "  validation: {fractoin: 0.1}", ["E0201"], "nor here"),
    ("epochs: 2", "validation: validation.jsonl", ["E0207"], "nor where it stands elsewhere"),
    ("{text: body, label: queue}", "[body, queue]", ["E0202"], "no columns that are missing"),
    ("  columns: {text", "  colums: {text", ["E0201"], "nor here"),
    ("data:\n", "dtaa:\n", ["E0201"], "no data that is missing"),
    ("adapt:\n  method: lora\n  rank: 4\n  target", "adpat:\n  method: lora\n  rank: 4\n  target", ["E0201"], "full is not meant"),
    ("  method: lora", "  mehtod: lora", ["E0201"], "no method that is missing"),
    ("  from: ./backbone", "  form: ./backbone", ["E0201"], "no source that is missing"),
]  # fmt: skip


@pytest.mark.parametrize("case", CONSEQUENCES, ids=lambda case: case[1].strip()[:40])
def test_nothing_is_said_that_follows_from_another_mistake(
    case: tuple[str, str, list[str], str], project: Project
) -> None:
    old, new, codes, why = case
    if "validation" in new and "epochs" in old:
        project.replace("  validation: validation.jsonl\n", "")
    project.replace(old, new)
    assert project.validate().codes == codes, why


def test_a_later_language_silences_everything_else(project: Project) -> None:
    project.write("spec.yaml", "graftc: 2\nnews: 1\nhead: 7\n")
    assert project.validate().codes == ["E0208"]


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file(project: Project) -> None:
    project.replace("name: triage", "name: Triage")
    project.replace("rank: 4", "rnak: 4")
    project.replace("epochs: 2", "epochs: two")
    project.replace("precision: [fp32]", "precision: [fp64]")
    answer = project.validate()
    lines = [int(finding.place.split(":")[1]) for finding in answer.findings]
    assert len(lines) == 4
    assert lines == sorted(lines)


def test_at_most_ten_are_shown_and_the_rest_counted(project: Project) -> None:
    project.replace("name: triage", "name: triage\n" + "".join(f"key{i}: 1\n" for i in range(14)))
    answer = project.validate()
    assert len(answer.findings) == 10
    assert answer.err.rstrip().endswith("... and 4 more")
    listing = json.loads(project.validate("--format", "json").out)["findings"]
    assert len(listing) == 14


def test_json_holds_the_same_findings_as_the_text(project: Project) -> None:
    project.replace("from: ./backbone", "from: ./nowhere")
    project.replace("label: queue", "lable: queue")
    project.replace("metric: f1_macro", "metric: f1")
    text = project.validate()
    listing = json.loads(project.validate("--format", "json").out)["findings"]
    assert [f.code for f in text.findings] == [item["code"] for item in listing]
    assert [f.headline for f in text.findings] == [item["message"] for item in listing]
    assert [f.place for f in text.findings] == [f"{i['file']}:{i['line']}:{i['column']}" for i in listing]
    assert [f.label for f in text.findings] == [item["label"] for item in listing]
    assert {item["severity"] for item in listing} == {"error"}


def test_both_epochs_and_max_steps_shows_both(project: Project) -> None:
    project.replace("epochs: 2", "epochs: 2\n  max_steps: 5")
    answer = project.validate()
    assert (answer.status, answer.codes) == (1, ["E0209"])
    assert "^" in answer.err
    assert "- the other" in answer.err


def test_early_stopping_and_samples_need_validation(project: Project) -> None:
    project.replace("  validation: validation.jsonl\n", "")
    project.replace("epochs: 2", "epochs: 2\n  early_stopping: {patience: 2}")
    project.replace("precision: [fp32]", "precision: [fp32]\n  samples: validation")
    answer = project.validate()
    assert (answer.status, answer.codes) == (1, ["E0209", "E0209", "W0304"])
    assert all("add `validation: {fraction: 0.1}`" in finding.notes for finding in answer.findings)


def test_a_precision_twice_is_an_error(project: Project) -> None:
    project.replace("precision: [fp32]", "precision: [fp32, fp32]")
    assert project.validate().codes == ["E0209"]


def test_an_unknown_metric_lists_the_choices_and_plain_f1_too(project: Project) -> None:
    for word, suggestion in (("f1", ""), ("f1_makro", "did you mean `f1_macro`?"), ("bleu", ""), ("''", "")):
        project.write("spec.yaml", SPEC.replace("metric: f1_macro", f"metric: {word}"))
        answer = project.validate()
        assert (answer.status, answer.codes) == (1, ["E0321"])
        assert "accuracy, average_precision_macro, ece, f1_macro, f1_micro, f1_weighted" in answer.err
        assert suggestion in answer.err
    project.write("spec.yaml", SPEC.replace("metric: f1_macro", "metric: subset_accuracy"))
    assert project.validate().codes == ["E0321"], "that one is for several labels"


def test_warnings_pass_unless_strict(project: Project) -> None:
    project.replace("  validation: validation.jsonl\n", "")
    answer = project.validate()
    assert (answer.status, answer.codes) == (0, ["W0304"])
    assert "spec.yaml: fine (1 warning)" in answer.out
    assert project.validate("--strict").status == 1
    assert json.loads(project.validate("--format", "json").out)["findings"][0]["severity"] == "warning"
    project.replace("  columns", "  validation: validation.jsonl\n  columns")
    assert project.validate("--strict").status == 0


def test_errors_come_before_warnings(project: Project) -> None:
    project.replace("  validation: validation.jsonl\n", "")
    project.replace("metric: f1_macro", "metric: f1\n  learning_rate: 1.0")
    assert project.validate().codes == ["E0321", "W0304", "W0303"]


def test_several_specs_are_all_checked_and_the_worst_decides(project: Project, graftc: Command) -> None:
    project.write("wrong.yaml", SPEC.replace("epochs: 2", "epochs: two"))
    project.write("machine.yaml", SPEC.replace("./backbone", "package:not_installed_anywhere/model"))
    fine = graftc("validate", "spec.yaml", "spec.yaml")
    assert (fine.status, fine.out.count("fine")) == (0, 2)
    wrong = graftc("validate", "wrong.yaml", "spec.yaml", "nowhere.yaml")
    assert (wrong.status, wrong.codes, wrong.out.count("fine")) == (1, ["E0202", "E0106"], 1)
    worst = graftc("validate", "machine.yaml", "wrong.yaml", "spec.yaml")
    assert (worst.status, worst.codes, worst.out.count("fine")) == (4, ["E0320", "E0202"], 1)
    listing = json.loads(graftc("validate", "wrong.yaml", "machine.yaml", "--format", "json").out)["findings"]
    assert [item["file"] for item in listing] == ["wrong.yaml", "machine.yaml"]


SETS = [
    ("train.epochs", 2, ["E0211"], "train.epochs"),
    ("=5", 2, ["E0211"], "=5"),
    ("train..epochs=5", 2, ["E0211"], "train..epochs=5"),
    (".=5", 2, ["E0211"], ".=5"),
    ("a." * 5000 + "a=1", 2, ["E0211"], ""),
    ("name=a\nseed: 5", 2, ["E0211"], ""),
    ("train.epochs=[1", 2, ["E0101"], ""),
    ("train.epochs=a: b", 2, ["E0101"], ""),
    ("train.epochs=&x 1", 2, ["E0103"], "&x"),
    ("train.epochs=!!str 1", 2, ["E0103"], "!!str"),
    ("backbone.freeze=[layers[0:2]]", 2, ["E0105"], "layers[0:2]"),
    ("head.loss={label_smoothing: 0.1, label_smoothing: 0.2}", 2, ["E0102"], "label_smoothing"),
    ("train.epochs=two", 1, ["E0202"], "two"),
    ("train.epochs=-1", 1, ["E0205"], "-1"),
    ("train.learning_rate={backbone: 1, head: no}", 1, ["E0202"], "no"),
    ("train.learning_rate={backbone: 1, haed: 1}", 1, ["E0201"], "haed"),
    ("train.rank=8", 1, ["E0207"], "train.rank"),
    ("adapt.method=lroa", 1, ["E0203"], "lroa"),
    ("backbone.freeze=['layers[4:9]']", 1, ["E0302"], "'layers[4:9]'"),
    ("head.type=image-classification", 1, ["E0207", "E0307"], ""),
    ("data.columns.text=bodi", 1, ["E0312"], "bodi"),
    ("train.metric=f1", 1, ["E0321"], "f1"),
]  # fmt: skip


@pytest.mark.parametrize(("flag", "status", "codes", "under"), SETS, ids=[case[0][:40] for case in SETS])
def test_a_flag_is_the_place_of_what_it_says(
    flag: str, status: int, codes: list[str], under: str, project: Project
) -> None:
    for verb in ("validate", "plan"):
        answer = project.graftc(verb, "spec.yaml", "--set", "seed=1", "--set", flag)
        assert (answer.status, answer.codes) == (status, codes), answer.err
        if under:
            assert answer.findings[0].place.startswith("--set:2:")
            assert answer.findings[0].under == under


def test_flags_merge_into_the_spec_and_null_removes(project: Project, graftc: Command) -> None:
    def planned(*flags: str) -> Any:
        answer = graftc("plan", "spec.yaml", "--json", *(word for flag in flags for word in ("--set", flag)))
        assert answer.status == 0, answer.err
        return json.loads(answer.out)

    assert planned("train.epochs=7", "train.epochs=5")["train"]["epochs"] == 5
    assert planned("train.epochs=null")["train"]["epochs"] == 3, "the default"
    assert planned("train.epochs=")["train"]["epochs"] == 3
    assert planned("data.columns={text: body, label: queue}")["tasks"][0]["data"]["columns"]["text"] == ["body"]
    probe = planned("adapt.method=probe")
    assert (probe["method"]["method"], probe["spec"]["adapt"]) == ("probe", {"method": "probe"})
    assert planned("adapt.method=lora")["spec"]["adapt"]["rank"] == 4, "the same word replaces nothing"
    assert planned("description='one: two'")["description"] == "one: two"


def test_usage_is_status_2(project: Project, graftc: Command) -> None:
    for arguments in (["nonsense"], ["validate"], ["validate", "--colour", "spec.yaml"], ["plan"], ["predict", "x"]):
        assert graftc(*arguments).status == 2
    assert graftc("--help").status == 0
    assert graftc("--version").out.startswith("graftc")


def fields(model: type[BaseModel], path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for name, field in model.model_fields.items():
        here = (*path, field.alias or name)
        yield here
        for inner in models(field.annotation):
            yield from fields(inner, here)


def models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in models(part)]


def every_place() -> list[tuple[str, ...]]:
    """Each key that a spec may hold, nested ones too, for every variant; a variant's word stands first."""
    places = [("", *path) for path in fields(Top, ())]
    places += [("", *path) for name, model in SECTIONS.items() for path in fields(model, (name,))]
    for name, (folder, _, _) in VARIANTS.items():
        for word in variants.words(folder):
            places += [(word, *path) for path in fields(variants.options(folder, word), (name,))]
    for word in variants.words("inputs"):
        places += [(f"{word}-classification", *path) for path in fields(variants.options("inputs", word), ("data",))]
    return places


VALUES = [
    "text",
    "''",
    "-7",
    "10.5",
    "1e400",
    ".nan",
    "true",
    "",
    "[]",
    "{}",
    "[[a]]",
    "[null]",
    "{a: {b: 1}}",
    "9" * 400,
]


@pytest.mark.parametrize("place", every_place(), ids=lambda place: ".".join(filter(None, place)))
def test_whatever_stands_at_a_key_it_is_read_or_refused_in_the_languages_words(
    place: tuple[str, ...], project: Project
) -> None:
    word, *path = place
    for value in VALUES:
        spec: Any = yaml.safe_load(SPEC)
        if path[0] in VARIANTS and word:
            spec[path[0]] = {VARIANTS[path[0]][1]: word}
        elif word:
            spec["head"]["type"] = word
        inner = spec
        for step in path[:-1]:
            inner[step] = inner[step] if isinstance(inner.get(step), dict) else {}
            inner = inner[step]
        inner[path[-1]] = "PLACE"
        project.write("spec.yaml", json.dumps(spec, indent=1).replace('"PLACE"', value or "null"))
        answer = project.validate()
        assert answer.status in (0, 1), answer.err
        for finding in answer.findings:
            assert finding.code[:3] in ("E01", "E02", "E03", "W03"), answer.err
            assert not {"_type", "_error", "_parsing"} & set(finding.label.split()), answer.err
            assert "something else" not in finding.label, answer.err
