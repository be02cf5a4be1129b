"""The page of the spec, one section per key, from the JSON Schema of the spec language."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from notes import Notes

from graftc.compiler.language.schema import schema

Node = Mapping[str, Any]
LIMITS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "above {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "below {}",
}
WORDS = {"integer": "whole number", "number": "number", "boolean": "true or false", "string": "text"}
PAGES = {"adapt": "methods", "head": "heads", "pretrain": "objectives"}  # of a section's variants


def page(notes: Notes) -> str:
    """The whole page in Markdown."""
    whole = schema()
    keys, definitions = whole["else"]["properties"], whole["$defs"]
    data = dict(reversed(_branches(definitions, "data").items()))
    parts = [
        f"# The spec{notes.of('spec')}",
        *_section("top", {"": {"properties": _top(whole, keys), "required": ["graftc", "name"]}}, definitions, notes),
        *_section("backbone", {"": definitions["backbone"]}, definitions, notes),
        *_section("pretrain", _branches(definitions, "pretrain"), definitions, notes),
        *_section("adapt", _branches(definitions, "adapt"), definitions, notes),
        *_section("head", _branches(definitions, "head"), definitions, notes),
        *_section("heads", {"": {"properties": _entry(definitions)}}, definitions, notes),
        *_section("data", data, definitions, notes),
        *_section("train", {"": definitions["train"]}, definitions, notes),
        *_section("retain", {"": definitions["retain"]}, definitions, notes),
        *_section("export", {"": definitions["export"]}, definitions, notes),
    ]
    return "\n\n".join(parts)


def _top(whole: Node, keys: Node) -> dict[str, Node]:
    own = whole["properties"]
    found = {"graftc": own["graftc"], **{name: keys[name] for name in ("name", "description", "seed")}}
    return {**found, "extends": own["extends"]}


def _branches(definitions: Node, section: str) -> dict[str, Node]:
    start = f"{section}."
    return {name.removeprefix(start): node for name, node in definitions.items() if name.startswith(start)}


def _entry(definitions: Node) -> dict[str, Node]:
    """The keys of an entry of `heads` that a single head lacks."""
    alone = definitions["head.text-classification"]["properties"]
    several = definitions["heads.text-classification"]["properties"]
    return {name: node for name, node in several.items() if name not in alone}


def _section(name: str, branches: Mapping[str, Node], definitions: Node, notes: Notes) -> Iterator[str]:
    """A heading for the section, and one for each key of its variants."""
    yield f"## `{name}`{notes.of(name)}" if name != "top" else f"## Keys that stand alone{notes.of(name)}"
    for key in dict.fromkeys(key for branch in branches.values() for key in branch["properties"]):
        having = {word: branch["properties"][key] for word, branch in branches.items() if key in branch["properties"]}
        full = f"{name}.{key}" if name != "top" else key
        needed = all(key in branches[word].get("required", ()) for word in having)
        told = _told(key, name, having, len(branches), definitions)
        yield f"### `{full}`{' (required)' if needed else ''}\n\n{told}{notes.of(full)}"


def _told(key: str, section: str, having: Mapping[str, Node], most: int, definitions: Node) -> str:
    if all("const" in node for node in having.values()) and having.keys() != {""}:  # the key that names the variant
        words = " · ".join(f"`{word}`" for word in having)
        return f"{words}: see [{PAGES[section]}]({PAGES[section]}.md)."
    groups: dict[str, list[str]] = {}
    for word, node in having.items():
        groups.setdefault(_line(key, node, definitions), []).append(word)
    if len(groups) == 1 and len(having) == most:
        return next(iter(groups))
    return "\n\n".join(f"Of {_row(words)}: {line[:1].lower()}{line[1:]}" for line, words in groups.items())


def _row(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


def _line(key: str, node: Node, definitions: Node) -> str:
    """A key's description, kind and default."""
    text = node.get("description", "")
    sentence = f"{text[:1].upper()}{text[1:].rstrip('.')}. " if text else ""
    return "\n".join([f"{sentence}*{kind(node, definitions)}{_default(node)}.*", *_inner(key, node, definitions)])


def _inner(key: str, node: Node, definitions: Node) -> Iterator[str]:
    """The keys of a nested map, as a list."""
    for choice in (node, *node.get("anyOf", ())):
        name = str(choice.get("$ref", "")).removeprefix("#/$defs/")
        if name[:1].isupper() and (name != "Table" or key == "train"):  # a table is described once, under `train`
            yield ""
            for word, inner in definitions[name]["properties"].items():
                yield f"- `{word}`: {_line(word, inner, definitions)}"


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) or value != int(value) else f"{int(value):,}"


def _default(node: Node) -> str:
    value = node.get("default")
    if value is None or value in ("", [], {}) or isinstance(value, dict):
        return ""
    if isinstance(value, list):
        return f"; default `[{', '.join(map(str, value))}]`"
    return f"; default `{str(value).lower() if isinstance(value, bool) else value}`"


def kind(node: Node, definitions: Node) -> str:
    """The kind of a key's value, in words."""
    if "$ref" in node:
        name = node["$ref"].removeprefix("#/$defs/")
        if "." in name or name in ("train", "backbone"):
            return f"keys of `{name.removeprefix('heads.').partition('.')[0]}`"
        return f"{{{', '.join(definitions[name]['properties'])}}}"
    choices = node.get("anyOf") or node.get("oneOf")
    if choices:
        return " or ".join(dict.fromkeys(kind(choice, definitions) for choice in choices))
    if "const" in node:
        return f"`{node['const']}`"
    if "enum" in node:
        return " · ".join(f"`{word}`" for word in node["enum"])
    if node.get("type") == "array":
        return f"list of {kind(node.get('items', {}), definitions)}"
    if node.get("type") == "object":
        return "a map"
    limits = [words.format(_number(node[limit])) for limit, words in LIMITS.items() if limit in node]
    return ", ".join([WORDS.get(str(node.get("type")), "text"), *limits])
