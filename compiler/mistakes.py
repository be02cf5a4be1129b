"""Turns what pydantic finds into diagnostics in the language's own words."""

from __future__ import annotations

from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from . import variants
from .diagnostics import At, Diagnostic, Path, listed, nearest
from .frozen import Frozen

# pydantic's type of error → what the value should have been
KINDS = {
    "int_type": "a whole number", "int_from_float": "a whole number", "int_parsing": "a whole number",
    "float_type": "a number", "float_parsing": "a number", "finite_number": "a finite number",
    "string_type": "text", "bool_type": "true or false", "bool_parsing": "true or false",
    "tuple_type": "a list", "dict_type": "keys and values", "model_type": "keys and values", "list_type": "a list",
}  # fmt: skip
RANGES = {
    "greater_than": ("more than", "gt"), "greater_than_equal": ("at least", "ge"),
    "less_than": ("less than", "lt"), "less_than_equal": ("at most", "le"),
}  # fmt: skip


def explain(error: ValidationError, model: type[Frozen], base: Path, data: dict[str, Any]) -> list[Diagnostic]:
    """Every finding of one failed validation, one per place; `base` is the section's path in the spec."""
    found: dict[Path, list[Any]] = {}
    for item in error.errors(include_url=False):
        path = base + _written(item["loc"], base, data, item["type"] == "missing")
        found.setdefault(path, []).append(item)
    return [_one(path, items, model, base, data) for path, items in found.items()]


def _written(loc: tuple[str | int, ...], base: Path, data: dict[str, Any], is_missing: bool) -> Path:
    """Drops pydantic's own steps (names of union members) from a location."""
    value: Any = data
    for step in base:
        value = value[step]
    path: list[str | int] = []
    for i, step in enumerate(loc):
        if isinstance(value, dict) and (step in value or (is_missing and i == len(loc) - 1)):
            path.append(step)
            value = value.get(step)
        elif isinstance(value, tuple) and isinstance(step, int) and step < len(value):
            path.append(step)
            value = value[step]
    return tuple(path)


def _value(path: Path, data: Any) -> Any:
    for step in path:
        data = data[step]
    return data


def _one(path: Path, items: list[Any], model: type[Frozen], base: Path, data: dict[str, Any]) -> Diagnostic:
    types = [item["type"] for item in items]
    key = path[-1] if path else ""
    unknown = [item for item in items if item["type"] == "extra_forbidden"]
    if unknown:
        return _unknown(path, _owner(model, path[len(base) : -1]), base)
    if "missing" in types:
        parent = At(path[:-1], on_key=True)
        where = f" under `{path[-2]}`" if len(path) > 1 else ""
        return Diagnostic("E0204", f"`{key}` is missing{where}", parent, help=f"add `{key}:`")
    value = _value(path, data)
    ranged = [item for item in items if item["type"] in RANGES]
    if ranged and isinstance(value, int | float) and not isinstance(value, bool):
        word, bound = RANGES[ranged[0]["type"]]
        limit = ranged[0]["ctx"][bound]
        return Diagnostic("E0205", f"`{key}` is out of range", At(path, f"must be {word} {limit:g}"))
    return _kind(path, items, value)


def _kind(path: Path, items: list[Any], value: Any) -> Diagnostic:
    key = next((step for step in reversed(path) if isinstance(step, str)), "")
    literal = [item for item in items if item["type"] == "literal_error"]
    if literal and isinstance(value, str | int | float):
        choices = [
            word.strip("'") for item in literal for word in item["ctx"]["expected"].replace(" or ", ", ").split(", ")
        ]
        return Diagnostic(
            "E0202",
            f"`{value}` is not a value of `{key}`",
            At(path, f"one of: {', '.join(choices)}"),
            help=nearest(value, choices),
        )
    for item in items:
        if item["type"] == "string_pattern_mismatch":
            return Diagnostic(
                "E0202", f"`{key}` is not a slug", At(path, "lower case letters, digits, `-`, `_` and `.`, at most 64")
            )
        if item["type"] in ("too_short", "string_too_short"):
            return Diagnostic("E0202", f"`{key}` is empty", At(path, "needs at least one"))
        if item["type"] == "value_error":
            return Diagnostic("E0205", f"`{key}`: {item['ctx']['error']}", At(path))
    wanted = list(dict.fromkeys(KINDS.get(item["type"], item["type"]) for item in items))
    shown = "nothing" if value is None else "true or false" if isinstance(value, bool) else _kind_of(value)
    return Diagnostic(
        "E0202", f"`{key}` has the wrong kind of value", At(path, f"expected {' or '.join(wanted)}, this is {shown}")
    )


def _kind_of(value: Any) -> str:
    kinds = {str: "text", int: "a whole number", float: "a number", tuple: "a list", dict: "keys and values"}
    return kinds.get(type(value), "something else")


def _owner(model: type[BaseModel], steps: Path) -> type[BaseModel]:
    for step in steps:
        if isinstance(step, str):
            inner = _models(model.model_fields[_field(model, step)].annotation) if _field(model, step) else []
            model = inner[0] if inner else model
    return model


def _field(model: type[BaseModel], word: str) -> str:
    return next((name for name, field in model.model_fields.items() if word in (name, field.alias)), "")


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models(part)]


def _words(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def _unknown(path: Path, model: type[BaseModel], base: Path) -> Diagnostic:
    key, section = str(path[-1]), str(path[-2]) if len(path) > 1 else "the spec"
    known = _words(model)
    home = _home(key, base) if not nearest(key, known) else None
    if home:
        at = At(path, home[1], on_key=True)
        return Diagnostic("E0207", f"`{key}` does not belong under `{section}`", at, help=home[0])
    return Diagnostic(
        "E0201",
        f"unknown key `{key}`",
        At(path, f"not a key of `{section}`", on_key=True),
        notes=(f"keys: {listed(known, 20)}",),
        help=nearest(key, known),
    )


def _home(key: str, base: Path) -> tuple[str, str] | None:
    """Where a known key belongs: a help line and a label."""
    from .spec import SCALARS, SECTIONS, VARIANTS

    if key in SCALARS:
        return f"move it to the top of the spec: `{key}:`", "a key of the spec itself"
    for name, model in SECTIONS.items():
        if key in _words(model) and (name,) != base:
            return f"move it under `{name}`", f"a key of `{name}`"
    for name, (folder, tag, _) in VARIANTS.items():
        owners = [word for word in variants.words(folder) if key in _words(variants.load(folder, word).Options)]
        if owners and (name,) == base:
            return (
                f"use it with `{tag}: {owners[0]}`",
                f"a key of `{name}` with {tag} {listed(f'`{o}`' for o in owners)}",
            )
        if owners:
            return f"move it under `{name}`", f"a key of `{name}` with {tag} {listed(f'`{o}`' for o in owners)}"
    for word in variants.words("inputs"):
        if key in _words(variants.load("inputs", word).Options):
            return (
                ("move it under `data`", "a key of `data`")
                if base != ("data",)
                else (f"it belongs to {word} inputs", f"a key of {word} data")
            )
    return None
