"""The JSON Schema takes what the parser takes, refuses what it refuses, and is the one that is shipped."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from graftc.compiler import variants
from graftc.compiler.diagnostics import Refused
from graftc.compiler.language.parse import parse
from graftc.compiler.language.schema import schema
from graftc.compiler.language.source import parse_text, read

SPECS = Path(__file__).resolve().parents[2] / "specs"
SCHEMA = schema()
VALID = {
    "the shortest": "{}",
    "every scalar": "{description: words, seed: 7}",
    "a list of tables": "{data: {train: [a.csv, {from: b.csv, format: csv, split: train}]}}",
    "held out": "{data: {train: a.csv, validation: {fraction: 0.1}, columns: {text: [a, b], label: c}, max_length: 32}}",
    "pictures": "{head: {type: image-classification}, data: {train: a, image_size: 64, augment: {crop: 0.8}}}",
    "lora": "{adapt: {method: lora, rank: 4, target: [query, value], dora: true}}",
    "one target": "{adapt: {method: lora, target: all-linear}}",
    "probe": "{adapt: {method: probe}}",
    "labels of several kinds": "{head: {type: text-classification, labels: [a, 1, true], hidden: [8, 4]}}",
    "class weights": "{head: {type: text-classification, loss: {class_weights: {a: 2.0, b: 1}}}}",
    "rates by part": "{train: {learning_rate: {backbone: 1e-5, head: 1}, early_stopping: {patience: 2}}}",
    "one rate": "{train: {learning_rate: 2e-5, epochs: 3}}",
    "empty sections": "{train: null, export: null}",
    "export": "{export: {precision: [fp32, int8], opset: 18, gate: {parity: 1e-3}, samples: golden.jsonl}}",
}
INVALID = {
    "unknown key": "{colour: red}",
    "reserved key": "{pretrain: []}",
    "a head and heads": "{heads: {a: {type: text-classification}}}",
    "unknown key inside": "{backbone: {from: x, frozen: [all]}}",
    "unknown key deep inside": "{export: {gate: {parity: 1e-3, colour: red}}}",
    "unknown method": "{adapt: {method: lroa}}",
    "no method": "{adapt: {rank: 8}}",
    "a key of another method": "{adapt: {method: probe, rank: 8}}",
    "unknown task": "{head: {type: poetry}}",
    "a section that is a word": "{head: text-classification}",
    "a head without a type": "{head: {dropout: 0.1}}",
    "a key of other inputs": "{data: {train: a.csv, image_size: 32}}",
    "an unknown role": "{data: {train: a.csv, columns: {image: a}}}",
    "no training data": "{data: {test: a.csv}}",
    "a fraction of everything": "{data: {train: a.csv, validation: {fraction: 1}}}",
    "a word for a number": "{train: {epochs: three}}",
    "a number for a word": "{description: 3}",
    "a number for a truth": "{adapt: {method: lora, dora: 1}}",
    "out of range": "{train: {batch_size: 0}}",
    "one rate of two": "{train: {learning_rate: {head: 1e-3}}}",
    "no precision": "{export: {precision: []}}",
    "unknown precision": "{export: {precision: [fp64]}}",
    "a name that is no slug": "{name: My Spec}",
    "another language": "{graftc: 2}",
    "no name": "{name: null}",
    "no backbone": "{backbone: null}",
}


def spec(changes: str) -> Any:
    """A short valid spec, as values, with some sections changed."""
    base = "graftc: 1\nname: t\nbackbone: {from: x}\nhead: {type: text-classification}\ndata: {train: a.csv}\n"
    return parse_text(base, "t", Path()).data | parse_text(f"changes: {changes}", "t", Path()).data["changes"]


def plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, tuple) else value


def taken_by_schema(data: Any) -> bool:
    return bool(Draft202012Validator(SCHEMA).is_valid(plain(data)))


def taken_by_parser(data: Any) -> bool:
    source = parse_text("a: 1", "t", Path())
    try:
        parse(type(source)("t", Path(), "", data, {}, {}))
    except Refused as refused:
        return any(not d.code.startswith("E02") for d in refused.diagnostics)
    return True


def test_it_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("path", sorted(SPECS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_example_passes(path: Path) -> None:
    data = read(path).data
    assert not list(Draft202012Validator(SCHEMA).iter_errors(plain(data)))
    assert taken_by_parser(data)


@pytest.mark.parametrize("case", VALID)
def test_schema_and_parser_take(case: str) -> None:
    assert (taken_by_schema(spec(VALID[case])), taken_by_parser(spec(VALID[case]))) == (True, True)


@pytest.mark.parametrize("case", INVALID)
def test_schema_and_parser_refuse(case: str) -> None:
    data = spec(INVALID[case])
    assert not taken_by_schema(data)
    # which roles there are is told apart from shape: the parser leaves it to the look at the data
    assert case == "an unknown role" or not taken_by_parser(data)


LAYERS = {
    "a part of a section": ("train: {epochs: 3}", True),
    "a part of a variant": ("adapt: {rank: 4}", True),
    "a variant": ("adapt: {method: lora, rank: 4}", True),
    "a part of a value": ("export: {gate: {parity: 1.0e-3}}", True),
    "nothing, which removes": ("train: {epochs: null}\nexport:\ndescription: null", True),
    "a list": ("backbone: {freeze: [all]}", True),
    "no key": ("trian: {epochs: 3}", False),
    "no key of the section": ("train: {epoch: 3}", False),
    "no key of any variant": ("adapt: {rnak: 4}", False),
    "no key of that variant": ("adapt: {method: probe, rank: 4}", False),
    "a wrong kind": ("train: {epochs: three}", False),
    "out of range": ("train: {epochs: -1}", False),
}


@pytest.mark.parametrize("case", LAYERS)
def test_a_spec_over_another_may_be_any_part_of_one(case: str) -> None:
    text, is_fine = LAYERS[case]
    data = parse_text(f"graftc: 1\nextends: base.yaml\n{text}\n", "spec.yaml", Path()).data
    assert taken_by_schema(data) is is_fine


def test_shipped_schema_is_fresh() -> None:
    shipped = json.loads((SPECS / "schema.json").read_text(encoding="utf-8"))
    assert shipped == SCHEMA, "run `make schema`"


@pytest.mark.parametrize("path", sorted(SPECS.glob("*.yaml")), ids=lambda path: path.stem)
def test_an_editor_finds_it_by_every_example(path: Path) -> None:
    comment = path.read_text(encoding="utf-8").splitlines()[1]
    assert comment.startswith("# yaml-language-server: $schema=")
    assert json.loads((path.parent / comment.partition("=")[2]).read_bytes()) == SCHEMA


def test_every_variant_has_its_branch() -> None:
    for section, folder in (("adapt", "methods"), ("head", "heads")):
        assert {f"{section}.{word}" for word in variants.words(folder)} <= SCHEMA["$defs"].keys()


def nodes(node: Any, path: str = "#") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema within a schema, with its path."""
    if isinstance(node, dict):
        yield path, node
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, child in children:
        if key not in ("default", "if"):
            yield from nodes(child, f"{path}/{key}")


PARTS = ("#/$defs/heads.data.", "#/$defs/heads.part")  # of what is said elsewhere


def test_no_mapping_takes_unknown_keys() -> None:
    for path, node in nodes(SCHEMA):
        if node.get("type") == "object":
            # keys of class weights are the labels, which only the data knows; those of heads their names
            assert node.get("additionalProperties") is False or "class_weights" in path or "/heads" in path, path


def test_every_key_is_described_and_says_its_default() -> None:
    for path, node in nodes(SCHEMA["$defs"], "#/$defs"):
        for key, value in node.get("properties", {}).items() if node.get("type") == "object" else ():
            assert value.get("description") or path.startswith(PARTS), f"{path}/{key}"
            assert (
                key in node.get("required", ())
                or path.endswith("/columns")
                or "default" in value
                or "$ref" in value
                or path.startswith(PARTS)
            ), f"{path}/{key} has no default"


# what the YAML language server understands; it takes a schema's `default` and `description` for completion
KEYWORDS = {
    *("$schema", "$defs", "$ref", "title", "description", "default", "type", "const", "enum", "pattern"),
    *("properties", "required", "additionalProperties", "items", "minItems", "maxItems", "uniqueItems", "minLength"),
    *("propertyNames", "minProperties", "maxProperties"),
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
    *("allOf", "anyOf", "oneOf", "not", "if", "then", "else"),
}


def keywords(node: Any, are_names: bool = False) -> Iterator[str]:
    """Every keyword of a schema; the keys of `properties` and `$defs` are a spec's own names."""
    for key, value in node.items() if isinstance(node, dict) else ():
        if not are_names:
            yield key
        if are_names or key not in ("default", "const", "enum", "required"):
            yield from keywords(value, not are_names and key in ("properties", "$defs"))
    for item in node if isinstance(node, list) else ():
        yield from keywords(item)


def test_an_editor_understands_every_keyword() -> None:
    assert set(keywords(SCHEMA)) <= KEYWORDS


def test_every_reference_leads_somewhere() -> None:
    for path, node in nodes(SCHEMA):
        if "$ref" in node:
            assert node["$ref"].removeprefix("#/$defs/") in SCHEMA["$defs"], path


def test_no_key_takes_an_empty_value() -> None:
    for path, node in nodes(SCHEMA):
        # over another spec, nothing removes what that one says
        may_be_empty = path.startswith(("#/else/properties/train", "#/else/properties/export", "#/then/", *PARTS))
        assert node.get("type") != "null" or may_be_empty, path


def test_every_default_is_one_that_may_be_written() -> None:
    validator = Draft202012Validator(SCHEMA)
    for path, node in nodes(SCHEMA):
        if node.get("default") is not None and "properties" in path:
            whole = {**node, "$defs": SCHEMA["$defs"]}
            assert validator.evolve(schema=whole).is_valid(node["default"]), path
