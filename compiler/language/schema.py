"""The JSON Schema (draft 2020-12) of the spec language, made from the models that check a spec."""

from __future__ import annotations

from collections.abc import Iterable
from inspect import getdoc
from typing import Any

from pydantic.json_schema import models_json_schema

from .. import variants
from ..frozen import Frozen
from .feeding import reads_head
from .heads import NAME
from .spec import DEFAULTS, LANGUAGE, MOST_PARTS, OBJECTIVE, SECTIONS, VARIANTS, Data, Entry, Freeze, Retain, Top

Node = dict[str, Any]
Models = dict[type[Frozen], Node]
ORDER = ("backbone", "adapt", "head", "heads", "data", "train", "export")
EXTENDS = {"type": "string", "minLength": 1, "description": "path of a spec to start from, relative to this file"}
PRETRAIN = "self-supervised stages, in order, before the supervised one"
EMPTY = ("train", "export")  # sections that may be written without a value


def schema() -> Node:
    """A JSON Schema that accepts what `spec.parse` accepts: strict at every depth, with a branch per variant.

    A spec that extends another one may leave out anything that the other one gives, and remove a key with `null`.

    >>> sorted(schema()["else"]["required"])
    ['backbone', 'name']
    """
    models, definitions = _models()
    inputs = _modalities()
    for name, model in SECTIONS.items():
        definitions |= {name: models[model]} if model is not Data else {f"data.{w}": _data(w, models) for w in inputs}
    for section, (folder, tag, _) in VARIANTS.items():
        definitions |= {f"{section}.{w}": _branch(folder, w, tag, models) for w in _words(section)}
    definitions |= {f"pretrain.{w}": _stage(w, models) for w in variants.words(OBJECTIVE[0])} | {
        "retain": _retain(models)
    }
    definitions |= {f"heads.data.{word}": _part(_refer(f"data.{word}"), definitions) for word in inputs}
    definitions |= {f"heads.{word}": _entry(word, definitions[f"head.{word}"], models) for word in _words("head")}
    definitions["heads.part"] = {"anyOf": [_part(_refer(f"heads.{word}"), definitions) for word in _words("head")]}
    parts = {**_section("heads"), "minProperties": 0, "additionalProperties": _removable(_refer("heads.part"))}
    top = dict(models[Top]["properties"])
    version = {**top.pop("graftc"), "const": LANGUAGE}
    whole = top | {name: _section(name) for name in ORDER}
    stages = {"oneOf": [_refer(f"pretrain.{word}") for word in variants.words(OBJECTIVE[0])]}
    whole |= {
        "pretrain": {"type": "array", "minItems": 1, "maxItems": MOST_PARTS, "items": stages, "description": PRETRAIN},
        "retain": _refer("retain"),
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"graftc spec, version {LANGUAGE}",
        "type": "object",
        "properties": {"graftc": version, "extends": EXTENDS} | {name: {} for name in whole},
        "required": ["graftc"],
        "additionalProperties": False,
        "if": {"required": ["extends"]},
        "then": {
            "properties": {
                name: _removable(_part(node, definitions)) for name, node in {**whole, "heads": parts}.items()
            }
        },
        "else": {
            "properties": whole | {"data": {}},
            "required": ["name", "backbone"],
            "oneOf": [{"required": ["head", "data"]}, {"required": ["heads"]}],
            "allOf": [*(_when(word) for word in inputs), _shared(inputs, whole["data"])],
        },
        "$defs": {name: definitions[name] for name in sorted(definitions)},
    }


def _models() -> tuple[Models, dict[str, Node]]:
    """The schema of every model that checks a spec, and the definitions that those schemas refer to."""
    found: list[type[Frozen]] = [Top, Entry, Freeze, Retain, *SECTIONS.values()]
    folders = [folder for folder, _, _ in (*VARIANTS.values(), OBJECTIVE)]
    found += [variants.options(folder, word) for folder in folders for word in variants.words(folder)]
    found += [variants.options("inputs", word) for word in {*variants.words("inputs"), *_modalities()}]
    unique = list(dict.fromkeys(found))  # variants may share their options
    places, whole = models_json_schema([(model, "validation") for model in unique], ref_template="#/$defs/{model}")
    definitions = {name: _given(_untitled(node)) for name, node in whole["$defs"].items()}
    models = {model: definitions.pop(places[model, "validation"]["$ref"].removeprefix("#/$defs/")) for model in unique}
    return models, definitions


def _part(node: Node, definitions: dict[str, Node]) -> Node:
    """The schema of a value over an inherited one: any part of a map, any other value whole."""
    if "$ref" in node:
        return _part(definitions[node["$ref"].removeprefix("#/$defs/")], definitions)
    choices = [_part(choice, definitions) for word in ("anyOf", "oneOf") for choice in node.get(word, ())]
    if choices:
        return {"anyOf": [choice for i, choice in enumerate(choices) if choice not in choices[:i]]}
    if "properties" not in node:
        return node
    inner = {key: _removable(_part(value, definitions)) for key, value in node["properties"].items()}
    return {"type": "object", "properties": inner, "additionalProperties": False}


def _removable(node: Node) -> Node:
    told = {word: node[word] for word in ("description",) if word in node}
    return {**told, "anyOf": [*node.get("anyOf", [node]), {"type": "null"}]}


def _untitled(node: Any, are_keys: bool = False) -> Any:
    """The node without the titles that pydantic derives from names; a key called `title` in `properties` stays."""
    if isinstance(node, list):
        return [_untitled(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {key: _untitled(value, key == "properties") for key, value in node.items() if are_keys or key != "title"}


def _given(node: Any) -> Any:
    """The node without null among its choices: a key that is written has a value."""
    if isinstance(node, list):
        return [_given(item) for item in node]
    if not isinstance(node, dict):
        return node
    inner = {key: _given(value) for key, value in node.items()}
    if isinstance(node.get("default"), dict):
        inner["default"] = {key: value for key, value in node["default"].items() if value is not None}
    choices = [choice for choice in inner.pop("anyOf", []) if choice != {"type": "null"}]
    return {**inner, "anyOf": choices} if len(choices) > 1 else {**inner, **dict(*choices)}


def _words(section: str) -> tuple[str, ...]:
    return variants.words(VARIANTS[section][0])


def _entry(word: str, head: Node, models: Models) -> Node:
    """The schema of an entry of `heads`: the head's keys, the keys of every entry, and a part of `data`."""
    part = _refer(f"heads.data.{variants.head(word).modality}")
    data = {"data": {**part, "description": "its own, over that of all heads"}}
    return {**head, "properties": {**head["properties"], **data, **models[Entry]["properties"]}}


def _shared(inputs: Iterable[str], whole: Node) -> Node:
    """The condition on `data` in a spec with several heads: it may hold any part of what each head needs."""
    part = {"anyOf": [_refer(f"heads.data.{word}") for word in inputs]}
    is_several = {"required": ["heads"]}
    return {"if": is_several, "then": {"properties": {"data": part}}, "else": {"properties": {"data": whole}}}


def _section(name: str) -> Node:
    if name == "heads":
        entries = {"oneOf": [_refer(f"heads.{word}") for word in _words("head")]}
        names = {"propertyNames": {"pattern": NAME}, "minProperties": 1, "maxProperties": MOST_PARTS}  # E0380
        text = "heads by name, on one backbone"
        return {"type": "object", "description": text, **names, "additionalProperties": entries}
    if name == "data":
        return {"anyOf": [_refer(f"data.{word}") for word in _modalities()]}
    node = {"oneOf": [_refer(f"{name}.{word}") for word in _words(name)]} if name in VARIANTS else _refer(name)
    if name in EMPTY:
        node = {"anyOf": [node, {"type": "null"}]}
    return {**node, "default": DEFAULTS[name]} if name in DEFAULTS else node


def _refer(name: str) -> Node:
    return {"$ref": f"#/$defs/{name}"}


def _told(name: str, description: str) -> Node:
    return {**_refer(name), "description": description}


def _branch(folder: str, word: str, tag: str, models: Models) -> Node:
    """The schema of a variant: its keys, and the word that selects it."""
    keys = models[variants.options(folder, word)]
    sentence = (getdoc(variants.load(folder, word)) or "").partition("\n")[0]
    return {
        **keys,
        "description": sentence,
        "properties": {tag: {"const": word, "description": sentence}, **keys.get("properties", {})},
        "required": [tag, *keys.get("required", ())],
    }


def _retain(models: Models) -> Node:
    """The schema of `retain`, whose rows have the single role `text`."""
    keys = models[Retain]
    columns = keys["properties"]["columns"]
    role = {"text": {"description": "the column of role `text`, or a list of them", **columns["additionalProperties"]}}
    strict = {**columns, "properties": role, "additionalProperties": False, "default": {}}
    return {**keys, "properties": {**keys["properties"], "columns": strict}}


def _stage(word: str, models: Models) -> Node:
    """The schema of a stage of `pretrain`: the keys of its objective, and the keys that every stage may have."""
    branch = _branch(OBJECTIVE[0], word, OBJECTIVE[1], models)
    adapt = {**_section("adapt"), "description": "how this stage learns; what it adds is merged before the next one"}
    shared = {
        "adapt": adapt,
        "data": _told(f"data.{variants.objective(word).modality}", "its text"),
        "train": _told("train", "how long and fast"),
    }
    is_fed = reads_head(word)
    needed = branch["required"] if is_fed else [*branch["required"], "data"]
    shared = {key: node for key, node in shared.items() if key != "data" or not is_fed}
    return {
        **branch,
        "properties": {**branch["properties"], **models[Freeze]["properties"], **shared},
        "required": needed,
    }


def _data(word: str, models: Models) -> Node:
    """The schema of `data` for heads that read one kind of input, with the roles of its columns."""
    keys = models[Data]
    own, columns = models[variants.options("inputs", word)], keys["properties"]["columns"]
    roles = {
        role: {"description": f"the column of role `{role}`, or a list of them", **columns["additionalProperties"]}
        for role in dict.fromkeys((*variants.input(word).reader.roles, *_roles(word)))
    }
    strict = {**columns, "properties": roles, "additionalProperties": False, "default": {}}
    return {
        **keys,
        "properties": {**keys["properties"], "columns": strict, **own.get("properties", {})},
        "required": [*keys["required"], *own.get("required", ())],
    }


def _modalities() -> list[str]:
    """The kinds of input that heads read: single modalities and combinations."""
    return sorted({variants.head(word).modality for word in _words("head")})


def _heads(word: str) -> list[str]:
    """The heads that read one kind of input."""
    return [head for head in _words("head") if word == variants.head(head).modality]


def _roles(word: str) -> Iterable[str]:
    for head in _heads(word):
        yield from (*variants.reader(head).roles, *variants.head(head).targets)


def _when(word: str) -> Node:
    """The condition that ties `data` to the head: the head's type decides which keys `data` may have."""
    head = {"properties": {"type": {"enum": _heads(word)}}, "required": ["type"]}
    return {
        "if": {"properties": {"head": head}, "required": ["head"]},
        "then": {"properties": {"data": _refer(f"data.{word}")}},
    }
