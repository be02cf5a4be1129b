"""Migrations: they turn specs of older versions of the language into today's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from difflib import get_close_matches
from typing import Any

from ..diagnostics import At, Diagnostic, Path, clean
from .mistakes import unknown_key
from .spec import KEYS, LANGUAGE
from .text import Source

Migration = Callable[[Source], Source]  # a pure function from one version to the next; it keeps places and adds notes
MIGRATIONS: Mapping[int, Migration] = {}  # by the version that each starts from; version 1 is the first


def upgrade(source: Source, migrations: Mapping[int, Migration] = MIGRATIONS) -> Source:
    """The source in today's language, migrated version by version.

    A source whose version has no migration is returned unchanged.
    """
    version = source.data.get("graftc")
    while type(version) is int and version < LANGUAGE and version in migrations:
        changed = migrations[version](source)
        note = f"{source.file} is written in version {version} of the language and was read as version {version + 1}"
        source = replace(changed, data=changed.data | {"graftc": version + 1}, notes=(note, *changed.notes))
        version += 1
    return source


def renamed(source: Source, path: Path, key: str) -> Source:
    """The source with the key at `path` renamed in place; unchanged if the source has no such key."""
    if path not in source.keys:
        return source
    new = (*path[:-1], key)

    def moved(places: dict[Path, Any]) -> dict[Path, Any]:
        return {new + at[len(path) :] if at[: len(path)] == path else at: span for at, span in places.items()}

    data = _renamed(source.data, path, key)
    note = f"`{'.'.join(map(str, path))}` is `{'.'.join(map(str, new))}` now"
    return replace(source, data=data, keys=moved(source.keys), values=moved(source.values), notes=(*source.notes, note))


def _renamed(data: Any, path: Path, key: str) -> Any:
    if len(path) > 1:
        return {step: _renamed(value, path[1:], key) if step == path[0] else value for step, value in data.items()}
    return {key if step == path[0] else step: value for step, value in data.items()}


def misversioned(source: Source) -> Diagnostic | None:
    """E0204 or E0208 for a source that names no version or an unknown one; None for today's version."""
    version = source.data.get("graftc")
    if type(version) is int and version == LANGUAGE:
        return None
    at, help = At(("graftc",), f"this graftc reads version {LANGUAGE}"), f"write `graftc: {LANGUAGE}`"
    if "graftc" not in source.data:
        near = get_close_matches("graftc", [key for key in source.data if key not in KEYS], n=1)
        if near:
            return unknown_key((near[0],), KEYS, "the spec", ["graftc"])
        help = f"begin the spec with `graftc: {LANGUAGE}`"
        if "lock" in source.data and "versions" in source.data:
            help = "this is what `graftc lock` wrote; give the spec that lies beside it"
        return Diagnostic("E0204", "`graftc` is missing", At(()), help=help)
    if type(version) is int and version > LANGUAGE:
        return Diagnostic("E0208", f"language version {clean(version)} is not known", at, help="upgrade graftc")
    return Diagnostic("E0208", "`graftc` names no language version", at, help=help)
