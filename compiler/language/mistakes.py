"""Turns validation errors of pydantic into diagnostics in the words of the spec language."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from .. import variants
from ..diagnostics import At, Diagnostic, Path, listed, nearest, quote
from ..frozen import SLUG, Frozen
from ..units import SIZE
from .places import SPLITS
from .remedies import as_list, as_map, as_share, as_slug, as_truth, did_you_mean, shown_maps, without_quotes
from .spec import OBJECTIVE, SCALARS, SECTIONS, STAGE, VARIANTS

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
SHAPES = {
    "string_too_short": ("is empty", "expected some text"), "too_short": ("is empty", "needs at least one"),
}  # fmt: skip


PATTERNS = {
    SLUG: ("is not a slug", "lower case letters, digits, `-`, `_` and `.`, at most 64"),
    SIZE: ("is not a size", "a number of `B`, `kB`, `MB`, `GB` or `TB`"),
}


@dataclass(frozen=True)
class _Item:
    """One error of pydantic: its path in the spec, and the member of each union that it is about."""

    path: Path
    type: str
    context: Mapping[str, Any]
    members: Mapping[Path, str]


def explain(
    error: ValidationError, model: type[Frozen], base: Path, data: dict[str, Any], beside: tuple[str, ...] = ()
) -> list[Diagnostic]:
    """The diagnostics of one failed validation, one per mistake.

    `base` is the section's path in the spec; `beside` lists keys that the section may have besides those of its model.
    """
    items = _of_one_member([_item(found, base, data) for found in error.errors(include_url=False)], data)
    missing = [item.path for item in items if item.type == "missing"]
    extra = [item for item in items if item.type == "extra_forbidden"]
    unknown = {item.path: nested(item.path, data) or _unknown(item, model, base, missing, beside) for item in extra}
    places: dict[Path, list[_Item]] = {}
    for item in items:
        # pydantic counts only the valid items of a list, and each invalid item has a finding of its own
        written = _value(item.path, data) if item.type == "too_short" else ()
        is_repeated = item.type == "too_short" and len(written) >= item.context["min_length"]
        is_misspelt = item.type == "missing" and _is_misspelt(item.path, unknown)
        if item.path not in unknown and not is_repeated and not is_misspelt:
            places.setdefault(item.path, []).append(item)
    return [*unknown.values(), *(_one(path, found, data, model, base) for path, found in places.items())]


def meant(found: Iterable[Diagnostic]) -> Iterator[str]:
    """The words that diagnostics suggest in place of the written ones."""
    for diagnostic in found:
        yield from re.findall(r"did you mean `(.*)`\?", diagnostic.help)


def nothing(path: Path) -> Diagnostic:
    """The diagnostic for a key without a value."""
    help = "write a value, or remove the key"
    return Diagnostic("E0202", f"{quote(_key(path))} has no value", At(path, "nothing here", on_key=True), help=help)


def explain_kind(path: Path, value: Any) -> Diagnostic:
    """E0202: a section is not a mapping; the help shows how to write its value as one."""
    at = At(path, "expected keys and values, indented below")
    name = f"item {path[-1] + 1} of {quote(path[-2])}" if isinstance(path[-1], int) else quote(path[-1])
    return Diagnostic("E0202", f"{name} is not a mapping", at, help=_as_section(path, value))


def _as_section(path: Path, value: Any) -> str:
    """Help: a source, method or task that was written bare, as a mapping; empty for any other value."""
    section = "head" if path[0] == "heads" and len(path) == 2 else path[-1]
    if not isinstance(value, str) or not re.fullmatch(SLUG, str(path[-1])):
        return ""
    if path == ("backbone",):
        is_source = re.fullmatch(r"(\.{1,2}/|/|package:|hub:|bundle:)[\w./@+-]{1,80}", value)
        return f"write `backbone: {{from: {value if is_source else 'SOURCE'}}}`"
    folder, tag, _ = VARIANTS.get(str(section), ("", "", ""))
    name = "NAME" if path[-1] == tag else path[-1]  # a head's keys may stand where its name belongs
    return f"write `{name}: {{{tag}: {value}}}`" if tag and value in variants.words(folder) else ""


def _item(found: Any, base: Path, data: dict[str, Any]) -> _Item:
    value = _value(base, data)
    path, members = base, {}
    for i, step in enumerate(found["loc"]):
        is_key = isinstance(value, dict) and (
            step in value or (found["type"] == "missing" and i == len(found["loc"]) - 1)
        )
        if is_key or (isinstance(value, tuple) and isinstance(step, int) and step < len(value)):
            path = (*path, step)
            value = value.get(step) if isinstance(value, dict) else value[step]
        else:
            members[path] = str(step)  # pydantic's name for a member of a union
    return _Item(path, found["type"], found.get("ctx", {}), members)


def _of_one_member(items: list[_Item], data: Any) -> list[_Item]:
    """The errors about the best fitting member of each union; errors about its other members are dropped."""
    for place in dict.fromkeys(path for item in items for path in item.members):
        inside: dict[str, list[_Item]] = {}
        for item in items:
            if place in item.members and len(item.path) > len(place):
                inside.setdefault(item.members[place], []).append(item)
        if inside:
            best = min(inside, key=lambda member: _misfit(inside[member], _value(place, data)))
            items = [item for item in items if item.members.get(place, best) == best]
    return items


def _misfit(items: list[_Item], value: Any) -> float:
    """How badly a value fits a union member: its surplus and missing keys, misspelt keys counted half."""
    wrong = [item for item in items if item.type in ("missing", "extra_forbidden")]
    words = [str(word) for word in value] if isinstance(value, dict) else []
    return len(wrong) - 0.5 * sum(item.type == "missing" and bool(nearest(item.path[-1], words)) for item in wrong)


def _is_misspelt(path: Path, unknown: Mapping[Path, Diagnostic]) -> bool:
    """Whether a missing key was written under a misspelt name."""
    return any(at[:-1] == path[:-1] and path[-1] in tuple(meant([found])) for at, found in unknown.items())


def _value(path: Path, data: Any) -> Any:
    for step in path:
        data = data[step]
    return data


def _key(path: Path) -> str:
    return next((step for step in reversed(path) if isinstance(step, str)), "")


def _one(path: Path, items: list[_Item], data: dict[str, Any], model: type[Frozen], base: Path) -> Diagnostic:
    key = quote(_key(path))
    if any(item.type == "missing" for item in items):
        where = f" under `{_key(path[:-1])}`" if len(path) > 1 else ""
        return Diagnostic("E0204", f"{key} is missing{where}", At(path, on_key=True), help=f"add {key[:-1]}:`")
    value = _value(path, data)
    ranged = next((item for item in items if item.type in RANGES), None)
    if ranged and isinstance(value, int | float) and not isinstance(value, bool):
        word, bound = RANGES[ranged.type]
        limit = ranged.context[bound]
        shown = str(int(limit)) if limit == int(limit) else f"{limit:g}"
        return Diagnostic("E0205", f"{key} is out of range", At(path, f"must be {word} {shown}"))
    for item in items:
        if item.type == "too_short" and value:
            return Diagnostic("E0202", f"{key} is too short", At(path, f"needs at least {item.context['min_length']}"))
        if item.type == "too_long":
            return Diagnostic("E0202", f"{key} is too long", At(path, f"takes at most {item.context['max_length']}"))
        if item.type in SHAPES:
            return Diagnostic("E0202", f"{key} {SHAPES[item.type][0]}", At(path, SHAPES[item.type][1]))
        if pattern := item.context.get("pattern"):
            headline, label = PATTERNS[pattern]
            help = as_slug(value, pattern) if pattern == SLUG else "write it as `20GB`"
            return Diagnostic("E0202", f"{key} {headline}", At(path, label), help=help)
    field = _field(_owner(items[0], model, base), path[-1])
    return _kind(path, items, value, models_of(field.annotation) if field else [])


def _kind(path: Path, items: list[_Item], value: Any, models: list[type[BaseModel]]) -> Diagnostic:
    key = quote(_key(path))
    choices = [word for item in items if item.type == "literal_error" for word in _words_of(item.context["expected"])]
    if choices and isinstance(value, str | int | float) and not isinstance(value, bool):
        maps = shown_maps(models)
        at = At(path, f"one of: {', '.join([*choices, *maps.values()])}")
        help = as_map(value, models) or (f"write `{maps[value]}`" if value in maps else did_you_mean(value, choices))
        return Diagnostic("E0202", f"{quote(value)} is not a value of {key}", at, help=help)
    kinds = [KINDS[item.type] for item in items if item.type in KINDS]
    wanted = dict.fromkeys([*kinds, *([f"one of {', '.join(choices)}"] if choices else [])])
    label = f"expected {' or '.join(wanted) or 'something else'}, this is {kind_of(value)}"
    ways = {"a list": as_list, "true or false": as_truth, "a number": as_share}
    help = without_quotes(value, kinds) or as_map(value, models)
    help = help or next((way(value) for kind, way in ways.items() if kinds == [kind]), "")
    return Diagnostic("E0202", f"{key} has the wrong kind of value", At(path, label), help=help)


def _words_of(expected: str) -> list[str]:
    """The words in pydantic's sentence `'a', 'b' or 'c'`."""
    return [word.strip("'") for word in expected.replace(" or ", ", ").split(", ")]


def kind_of(value: Any) -> str:
    """The kind of a spec value in words, such as `a whole number`."""
    kinds = {str: "text", int: "a whole number", float: "a number", tuple: "a list", dict: "keys and values"}
    return kinds.get(type(value), "true or false" if isinstance(value, bool) else "nothing")


def _unknown(
    item: _Item, model: type[Frozen], base: Path, missing: Iterable[Path], beside: tuple[str, ...]
) -> Diagnostic:
    wanted = [str(path[-1]) for path in missing if path[:-1] == item.path[:-1]]
    words = [*(beside if item.path[:-1] == base else ()), *_words(_owner(item, model, base))]
    return unknown_key(item.path, dict.fromkeys(words), quote(_key(item.path[:-1])), wanted)


def nested(path: Path, data: Any) -> Diagnostic | None:
    """E0207 for a section of the spec that is nested in another section; None otherwise."""
    key = path[-1]
    if len(path) < 2 or key not in (*SECTIONS, *VARIANTS) or not isinstance(_value(path, data), dict):
        return None
    at, where = At(path, "a section of the spec", on_key=True), quote(_key(path[:-1]))
    headline = f"{quote(key)} does not belong under {where}"
    return Diagnostic("E0207", headline, at, help=f"move it to the top of the spec, without indentation: `{key}:`")


def unknown_key(path: Path, known: Iterable[str], where: str, missing: Iterable[str] = ()) -> Diagnostic:
    """The diagnostic for a key that is unknown at its place: misspelt, misplaced, or unknown everywhere."""
    key, words = str(path[-1]), tuple(known)
    home = _home_in_stage(key, path[2:]) if path[0] == "pretrain" and len(path) > 2 else None
    help = "" if home else nearest(key, missing) or did_you_mean(key, words)
    home = home or (_home(key, path) if not help else None)
    if home:
        at = At(path, home[1], on_key=True)
        return Diagnostic("E0207", f"{quote(key)} does not belong {home[2] or f'under {where}'}", at, help=home[0])
    at = At(path, f"not a key of {where}", on_key=True)
    return Diagnostic("E0201", f"unknown key {quote(key)}", at, notes=(f"keys: {listed(words, 20)}",), help=help)


def _owner(item: _Item, model: type[BaseModel], base: Path) -> type[BaseModel]:
    """The model of the mapping that holds an item's key."""
    for depth in range(len(base), len(item.path) - 1):
        step, here = item.path[depth], item.path[: depth + 1]
        field = _field(model, step)
        inner = models_of(field.annotation) if field else [model]
        named = [m for m in inner if m.__name__ == item.members.get(here)]
        model = next(iter([*named, *inner]), model)
    return model


def _field(model: type[BaseModel], key: object) -> FieldInfo | None:
    return next((field for name, field in model.model_fields.items() if key in (name, field.alias)), None)


def models_of(annotation: Any) -> list[type[BaseModel]]:
    """The pydantic models that occur in a type annotation."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in models_of(part)]


def _words(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def _home(key: str, path: Path) -> tuple[str, str, str] | None:
    """Where a misplaced key belongs: a help line, a label, and the wrong place in words if it is not a section."""
    where = "" if len(path) > 1 else "at the top of the spec"
    if key in SCALARS and len(path) > 1:
        return f"move it to the top of the spec: `{key}:`", "a key of the spec itself", where
    for name, model in SECTIONS.items():
        for home in _homes(key, model, (name,)):
            if home != path[:-1]:
                return f"move it under `{'.'.join(home)}`", f"a key of `{'.'.join(home)}`", where
    for name, (folder, tag, _) in VARIANTS.items():
        if key == tag and path[:-1] != (name,):
            return f"move it under `{name}`", f"a key of `{name}`", where
        owners = {w: home for w in variants.words(folder) for home in _homes(key, variants.options(folder, w), (name,))}
        if owners:
            word = _foremost(folder, owners)
            home = owners[word]
            label = f"a key of `{'.'.join(home)}` with {tag} {listed(f'`{owner}`' for owner in owners)}"
            is_here = home == path[:-1]
            return f"use it with `{tag}: {word}`" if is_here else f"move it under `{'.'.join(home)}`", label, where
    for word in variants.words("inputs"):
        for home in _homes(key, variants.options("inputs", word), ("data",)):
            help = f"it belongs to {word} inputs" if home == path[:-1] else f"move it under `{'.'.join(home)}`"
            return help, f"a key of {word} data", where
    return None


def _home_in_stage(key: str, path: Path) -> tuple[str, str, str] | None:
    """As `_home`, for a key in a stage of `pretrain`, by its path in the stage, which has sections of its own."""
    folder, tag, _ = OBJECTIVE
    if owners := [word for word in variants.words(folder) if key in _words(variants.options(folder, word))]:
        help = f"use it with `{tag}: {owners[0]}`" if len(path) == 1 else f"move it beside `{tag}`"
        return help, f"a key of a stage with {tag} {listed(f'`{word}`' for word in owners)}", ""
    if key in STAGE and len(path) > 1:
        return f"move it beside `{tag}`", "a key of a stage", ""
    folder, tag, _ = VARIANTS["adapt"]
    owners = [word for word in variants.words(folder) if key in _words(variants.options(folder, word))]
    if owners and path[:-1] == ("adapt",):
        label = f"a key of `adapt` with {tag} {listed(f'`{word}`' for word in owners)}"
        return f"use it with `{tag}: {_foremost(folder, owners)}`", label, ""
    sections: list[tuple[str, type[BaseModel]]] = [(name, SECTIONS[name]) for name in ("train", "data")]
    sections += [("data", variants.options("inputs", word)) for word in variants.words("inputs")]
    sections += [("adapt", variants.options(folder, word)) for word in variants.words(folder)]
    for name, model in sections:
        for home in _homes(key, model, (name,)):
            if home != path[:-1]:
                shown = quote(".".join(home))
                return f"move it under {shown} of this stage", f"a key of {shown}", ""
    return None


def _foremost(folder: str, words: Iterable[str]) -> str:
    """The variant with the most options."""
    return max(words, key=lambda word: len(variants.options(folder, word).model_fields))


def _homes(key: str, model: type[BaseModel], at: tuple[str, ...]) -> list[tuple[str, ...]]:
    """The places under a model that have a key, the outermost first; places inside lists are not searched."""
    return [place for place, words in _places(model, at) if key in words]


@cache
def _places(model: type[BaseModel], at: tuple[str, ...]) -> tuple[tuple[tuple[str, ...], frozenset[str]], ...]:
    """Every mapping under a model: its path of keys, and the keys that it may have."""
    found = [(at, frozenset(_words(model)))]
    for name, field in model.model_fields.items():
        # keys of a table, such as `from`, are too general to suggest
        for inner in models_of(field.annotation) if name not in SPLITS else ():
            found += _places(inner, (*at, field.alias or name))
    return tuple(found)
