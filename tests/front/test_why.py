"""`graftc plan --why`: every value has a reason, and it is the plan's value."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from graftc.compiler import variants
from graftc.compiler.api import CheckOptions, check, look
from graftc.compiler.language.overrides import override
from graftc.compiler.language.parse import parse
from graftc.compiler.language.schema import schema
from graftc.compiler.language.source import Source, read
from graftc.compiler.planning.plan import Plan
from graftc.compiler.planning.why import WORKED_OUT, Reason
from graftc.compiler.planning.why import why as why_

from .conftest import Project


def reasons(source: Source, keys: list[str]) -> tuple[Reason, ...]:
    seen = look(source, CheckOptions())
    assert seen.plan is not None, seen.found
    return why_(keys, source, parse(source), seen.facts, seen.plan)


def said(project: Project, keys: list[str], *sets: str) -> dict[str, Reason]:
    source = override(read(project.spec, "spec.yaml"), sets)
    return {reason.key: reason for reason in reasons(source, keys)}


def why(project: Project, key: str, *sets: str) -> tuple[Any, str | None, str]:
    """Value, place and reason of one key."""
    reason = said(project, [key], *sets)[key]
    return reason.value, f"{reason.at.file}:{reason.at.line}" if reason.at else None, reason.because


CASES: list[tuple[str, tuple[str, ...], tuple[Any, str | None, str]]] = [
    ("train.epochs", (), (2, "spec.yaml:26", "")),
    ("train.epochs", ("train.epochs=",), (3, None, "the language's default")),
    ("train.epochs", ("train.epochs=", "train.max_steps=8"), (4, None, "as many as 8 steps reach into")),
    ("train.epochs", ("train.epochs=5",), (5, "--set:1", "")),
    ("train.learning_rate", (), (1e-3, None, "the default of method `lora`")),
    ("train.learning_rate", ("adapt.method=full",), (5e-5, None, "the default of method `full`")),
    ("train.learning_rate.head", ("train.learning_rate=0.01",), (0.01, "--set:1", "")),
    ("train.learning_rate.head", (), (1e-3, None, "the default of method `lora`")),
    ("train.steps", (), (4, None, "2 epochs of 2 steps")),
    ("train.steps", ("train.epochs=", "train.max_steps=7"), (7, None, "`train.max_steps`")),
    ("train.steps_per_epoch", ("train.batch_size=10",), (4, None, "36 training rows, 10 a step")),
    ("train.warmup_steps", ("train.epochs=20",), (4, None, "the share 0.1 of 40 steps")),
    ("train.metric", (), ("f1_macro", "spec.yaml:27", "")),
    ("train.metric", ("train.metric=",), ("accuracy", None, "the first metric of `text-classification` with these columns")),
    ("train.fold", (), ("layers[0:2]", None, "layer 2 is the lowest that is not frozen; what is beneath is computed once")),
    ("train.fold", ("adapt.method=probe", "backbone.freeze="), ("feature", None, "nothing in the backbone learns, so its features are computed once")),
    ("train.fold", ("train.fold=off",), ("off", "--set:1", "none: `train.fold` is off")),
    ("export.opset", (), (17, None, "the default of the exporter `tracing`")),
    ("export.opset", ("export.exporter=transformers",), (18, None, "the default of the exporter `transformers`")),
    ("head.labels", (), (("billing", "bug", "howto"), None, "the sorted labels of the training data, 3 of them")),
    ("head.labels.1", ("head.labels=[howto, bug, billing]",), ("bug", "--set:1", "")),
    ("head.pooling", (), ("mean", None, "the default of encoders, which give a state per token")),
    ("head.type", (), ("text-classification", "spec.yaml:16", "")),
    ("head.loss.label_smoothing", (), (0.0, None, "the default of `head` with `type: text-classification`")),
    ("adapt.method", (), ("lora", "spec.yaml:11", "")),
    ("adapt.alpha", (), (16.0, None, "the default of `adapt` with `method: lora`")),
    ("adapt.target", ("adapt.target=",), (("query", "value"), None, "what the method adapts in a `bert` backbone")),
    ("data.max_length", (), (32, "spec.yaml:23", "")),
    ("data.train.format", (), ("jsonl", None, "the ending of `train.jsonl`")),
    ("data.test", (), (None, None, "not written, and `data` has no default")),
    ("backbone.freeze.1", (), ("layers[0:2]", "spec.yaml:8", "")),
    ("backbone.family", (), ("bert", None, "`model_type` in the backbone's config.json")),
    ("seed", (), (0, None, "the default of the language")),
    ("head.parameters", (), (99, None, WORKED_OUT)),
]  # fmt: skip


@pytest.mark.parametrize(("key", "sets", "expected"), CASES, ids=[f"{key} {' '.join(sets)}" for key, sets, _ in CASES])
def test_a_value_has_its_place_or_what_decided_it(
    key: str, sets: tuple[str, ...], expected: tuple[Any, str | None, str], project: Project
) -> None:
    assert why(project, key, *sets) == expected


# where the plan keeps what a key decides, if under another name
HOMES = {
    "backbone.from": "backbone.source", "adapt.method": "method.method", "train.early_stopping.patience": "train.patience",
    "train.learning_rate.backbone": "train.learning_rate", "train.learning_rate.head": "train.head_learning_rate",
    "export.gate.parity": "export.parity", "export.gate.metric_drop": "export.metric_drop",
}  # fmt: skip
# what leaves no single value behind, or none of that form
ELSEWHERE = {
    "graftc", "extends", "heads", "train.sampling.temperature", "backbone", "train", "export", "backbone.freeze", "train.max_steps", "train.warmup", "train.early_stopping",
    "adapt.target", "export.gate", "data.train", "data.validation", "data.test", "data.columns",
}  # fmt: skip


def keys_of_the_schema(method: str, task: str) -> Iterator[str]:
    """Every key that the JSON Schema has for a spec with these variants."""
    whole = schema()
    definitions = whole["$defs"]

    def walk(node: dict[str, Any], path: tuple[str, ...]) -> Iterator[str]:
        if "$ref" in node:
            yield from walk(definitions[node["$ref"].rpartition("/")[2]], path)
        for inner in (*node.get("anyOf", ()), *node.get("oneOf", ())):
            yield from walk(inner, path)
        for key, inner in node.get("properties", {}).items():
            yield ".".join((*path, key))
            yield from walk(inner, (*path, key))

    modality = variants.head(task).modality
    sections = {"adapt": f"adapt.{method}", "head": f"head.{task}", "data": f"data.{modality}"}
    yield from (key for key in whole["properties"] if key not in sections)
    for key in ("backbone", "train", "export"):
        yield from walk({"$ref": f"#/$defs/{key}"}, (key,))
    reader, head = variants.reader(task), variants.head(task)
    roles = {f"data.columns.{role}" for role in (*reader.roles, *head.targets)}
    for key, name in sections.items():
        # the schema knows the roles of every head that reads such inputs
        yield from (k for k in walk(definitions[name], (key,)) if not k.startswith("data.columns.") or k in roles)


def value(plan: Plan, key: str) -> Any:
    found: Any = plan.tasks[0] if key.partition(".")[0] in ("head", "data") else plan
    for step in HOMES.get(key, key).split("."):
        found = found[step] if isinstance(found, dict) else getattr(found, step)
    return found


@pytest.mark.parametrize("method", variants.words("methods"))
def test_every_key_of_the_schema_is_answered_with_the_value_of_the_plan(method: str, project: Project) -> None:
    sets = [f"adapt={{method: {method}}}", "backbone.freeze=", "train.early_stopping.patience=3"]
    keys = list(dict.fromkeys(keys_of_the_schema(method, "text-classification")))
    assert len(keys) > 40
    source = override(read(project.spec, "spec.yaml"), sets)
    plan, _ = check(source)
    assert plan is not None
    compared = 0
    for reason in reasons(source, keys):
        assert reason.at or reason.because, reason.key
        section, _, name = reason.key.partition(".")
        records = {"adapt": plan.method.record, "head": plan.tasks[0].head.record, "data": plan.reading.preprocessing}
        record = records.get(section, {})
        if name in record and reason.key not in ELSEWHERE:
            assert reason.value == record[name], reason.key
        elif reason.key not in ELSEWHERE and _is_there(plan, reason.key):
            assert reason.value == value(plan, reason.key), reason.key
        else:
            continue
        compared += 1
    assert compared >= 22


def _is_there(plan: Plan, key: str) -> bool:
    try:
        value(plan, key)
    except AttributeError:
        return False
    return True


def test_every_value_of_the_plan_has_a_reason(project: Project) -> None:
    plan, _ = check(read(project.spec))
    assert plan is not None
    (task,) = plan.tasks
    sections = {"backbone": plan.backbone, "head": task.head, "data": task.data}
    sections |= {"train": plan.train, "export": plan.export, "estimates": plan.estimates}
    keys = [f"{section}.{name}" for section, part in sections.items() for name in type(part).model_fields]
    for reason in said(project, keys).values():
        assert reason.at or reason.because
        if reason.because == WORKED_OUT:
            assert reason.value == value(plan, reason.key)


def test_a_value_of_a_base_names_its_file_and_who_extends_it(project: Project) -> None:
    Path("base.yaml").write_text(project.spec.read_text())
    project.write("spec.yaml", "graftc: 1\nextends: base.yaml\nname: child\n")
    answer = project.graftc("plan", "spec.yaml", "--why", "train.epochs", "--why", "name", "--why", "extends")
    assert answer.out.splitlines() == [
        "train.epochs = 2", "  base.yaml:26:11: epochs: 2", "  spec.yaml:2 extends base.yaml",
        "name = child", "  spec.yaml:3:7: name: child",
        "extends = base.yaml", "  spec.yaml:2:10: extends: base.yaml",
    ]  # fmt: skip


def test_machines_get_the_same_as_json(project: Project) -> None:
    listing = json.loads(
        project.graftc("plan", "spec.yaml", "--json", "--why", "head.labels", "--why", "seed", "--set", "seed=7").out
    )
    assert listing[0]["value"] == ["billing", "bug", "howto"]
    assert (listing[0]["file"], listing[0]["because"]) == (None, "the sorted labels of the training data, 3 of them")
    assert listing[1] == {
        "key": "seed",
        "value": 7,
        "file": "--set",
        "line": 1,
        "column": 6,
        "because": "",
        "notes": [],
    }


def test_a_key_that_there_is_not_is_a_mistake_of_usage(project: Project) -> None:
    answer = project.graftc(
        "plan", "spec.yaml", "--why", "train.epoch", "--why", "train.rank", "--why", "data.max_lenght", "--why", ".."
    )
    assert (answer.status, answer.codes) == (2, ["E0223"] * 4)
    helps = [found.notes for found in answer.findings]
    assert "did you mean `train.epochs`?" in helps[0]
    assert "move it under `adapt`" in helps[1]
    assert "did you mean `data.max_length`?" in helps[2]
    assert project.graftc("plan", "spec.yaml", "--why", "seed", "-o", "plan.json").status == 2


def test_a_spec_that_is_wrong_has_no_reasons_yet(project: Project) -> None:
    project.replace("epochs: 2", "epochs: two")
    answer = project.graftc("plan", "spec.yaml", "--why", "train.epochs")
    assert (answer.status, answer.codes) == (1, ["E0202"])
