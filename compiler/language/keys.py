"""Every key that a spec may have, for a given method and given heads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from .. import variants
from ..diagnostics import Path
from .mistakes import models_of
from .spec import DEFAULTS, SECTIONS, VARIANTS, Entry, Retain, Top


@dataclass(frozen=True)
class Key:
    """A key of the spec language: its path, its default, and the section or variant that owns it, in words."""

    path: Path
    default: Any
    owner: str


def keys(method: str, tasks: Mapping[str, str]) -> dict[Path, Key]:
    """The keys of a spec by path, column roles included, for an adaptation method and heads (types by name).

    The single head of `head` has the empty name.

    >>> keys("lora", {"": "text-classification"})["adapt", "rank"].owner
    '`adapt` with `method: lora`'
    """
    found: dict[Path, Key] = {("heads",): Key(("heads",), None, "the language")}
    for name, task in tasks.items():
        for path, key in _of_head(method, task).items():
            if not name or path[0] not in ("head", "data"):
                found[path] = key
            elif path[0] == "head":
                found["heads", name, *path[1:]] = replace(key, path=("heads", name, *path[1:]))
            else:
                inner = ("heads", name, *path)
                found |= {path: key, inner: replace(key, path=inner)}
        entry = _fields(Entry, ("heads", name), "`heads`") if name else ()
        found |= {key.path: key for key in entry}
    return found


def _of_head(method: str, task: str) -> dict[Path, Key]:
    words = {"adapt": method, "head": task}
    head = variants.head(task)
    found = [Key(("extends",), None, "the language"), *_fields(Top, (), "the language")]
    for name, model in SECTIONS.items():
        found += [Key((name,), None, "the language"), *_fields(model, (name,), f"`{name}`")]
    for name, (folder, tag, _) in VARIANTS.items():
        options = variants.options(folder, words[name])
        found += [
            Key((name,), DEFAULTS.get(name), "the language"),
            Key((name, tag), DEFAULTS.get(name, {}).get(tag), f"`{name}`"),
        ]
        found += _fields(options, (name,), f"`{name}` with `{tag}: {words[name]}`")
    found += [Key(("pretrain",), (), "the language"), Key(("retain",), None, "the language")]
    found += _fields(Retain, ("retain",), "`retain`")
    reader = variants.reader(task)
    found += _fields(variants.options("inputs", head.modality), ("data",), f"`data` for {head.modality}")
    found += [Key(("data", "columns", role), None, f"`{task}`") for role in (*reader.roles, *head.targets)]
    return {key.path: key for key in found}


def _fields(model: type[BaseModel], path: Path, owner: str) -> Iterator[Key]:
    for name, field in model.model_fields.items():
        here = (*path, field.alias or name)
        default = field.get_default(call_default_factory=True)
        if default is PydanticUndefined or (isinstance(default, dict) and not default):
            default = None
        yield Key(here, default.model_dump() if isinstance(default, BaseModel) else default, owner)
        for inner in models_of(field.annotation):
            yield from _fields(inner, here, owner)
