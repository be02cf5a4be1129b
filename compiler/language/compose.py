"""Composition of specs: a spec over the spec that it extends, and `--set` flags over both."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path as File
from pathlib import PurePosixPath
from typing import Any

from .. import variants
from ..diagnostics import Path, Span
from ..sources import split
from .places import is_path
from .spec import KEYS, TAGS
from .text import FLAGS, Source


def composed(base: Source, top: Source) -> Source:
    """`top` merged over `base`: maps merge key by key, `null` removes a key, every other value replaces the one below.

    Every value keeps the place at which it was written. A map that names another variant (`type: x` over `type: y`)
    replaces the whole map. The result has the file, the folder and the text of `base` if `top` is a flag, else those of
    `top`.
    """
    layers = _Layers(base, top)
    data = layers.value((), base.data, top.data)
    known = {key: i for i, key in enumerate(KEYS)}
    in_order = {key: data[key] for key in sorted(data, key=lambda key: known.get(key, len(known)))}
    whole = base if top.file == FLAGS else top
    return replace(whole, data=in_order, keys=layers.keys, values=layers.values, removed=layers.removed)


class _Layers:
    """Merges the values of two sources and records where each value was written."""

    def __init__(self, base: Source, top: Source) -> None:
        self.base, self.top = base, top
        self.keys: dict[Path, Span] = {}
        self.values: dict[Path, Span] = {}
        self.removed = {**base.removed, **top.removed}

    def value(self, path: Path, under: Any, over: Any) -> Any:
        if not isinstance(under, dict) or not isinstance(over, dict) or _is_another(path, under, over):
            return self.taken(self.top, path, over)
        # a flag is one line and lacks the section's other keys, so the spec's place of the section is the useful one
        self._place(self.base if self.top.file == FLAGS else self.top, path)
        result = {}
        for key in dict.fromkeys((*under, *over)):
            inner = (*path, key)
            if key not in over:
                result[key] = self.taken(self.base, inner, under[key])
            elif key not in under:
                result[key] = self.taken(self.top, inner, over[key])
            elif over[key] is not None:
                result[key] = self.value(inner, under[key], over[key])
            else:
                self.removed[inner] = self.top.keys[inner]
        return result

    def taken(self, source: Source, path: Path, value: Any) -> Any:
        """A value of one source, with the places of everything inside it."""
        self._place(source, path)
        items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, tuple) else ()
        for step, inner in items:
            self.taken(source, (*path, step), inner)
        return value

    def _place(self, source: Source, path: Path) -> None:
        for mine, theirs in ((self.keys, source.keys), (self.values, source.values)):
            if path in theirs:
                mine[path] = theirs[path]


def _is_another(path: Path, under: Mapping[str, Any], over: Mapping[str, Any]) -> bool:
    """Whether a map names another variant than the map below it."""
    path = ("head",) if len(path) == 2 and path[0] == "heads" else path[2:] if path[0:1] == ("heads",) else path
    tag = TAGS.get(path, "")
    return tag in under and tag in over and under[tag] != over[tag]


def rebased(source: Source, prefix: str, folder: File) -> Source:
    """The source with its paths relative to `folder`; `prefix` leads from `folder` to the source's own folder."""
    return replace(source, data=_rebased((), source.data, prefix, folder)) if prefix else source


def _rebased(path: Path, value: Any, prefix: str, folder: File) -> Any:
    if isinstance(value, dict):
        return {key: _rebased((*path, key), inner, prefix, folder) for key, inner in value.items()}
    if isinstance(value, tuple):
        return tuple(_rebased((*path, "*"), inner, prefix, folder) for inner in value)
    if not isinstance(value, str) or not value or not is_path(path):
        return value
    if path[-2:] != ("backbone", "from"):
        return joined(prefix, value, folder)
    word, inside = split(value)
    if word not in variants.words("sources") or not variants.source(word).is_path:
        return value
    moved = joined(prefix, inside, folder)
    return moved if word == "folder" else f"{word}:{moved}"


def joined(prefix: str, path: str, folder: File) -> str:
    """A path below `prefix`, which is relative to `folder`; `..` is resolved where no symbolic link makes a difference.

    >>> joined("../shared", "./data/rows.csv", File()), joined("bases", "../rows.csv", File())
    ('../shared/data/rows.csv', 'rows.csv')
    """
    if os.path.isabs(path):
        return path
    whole = str(PurePosixPath(prefix, path))
    short = os.path.normpath(whole)
    with suppress(ValueError):  # a path with a NUL byte
        return short if os.path.realpath(folder / short) == os.path.realpath(folder / whole) else whole
    return whole
