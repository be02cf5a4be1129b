"""Random edits of plans and manifests: valid JSON in which one to three values are others, and what came of each."""

from __future__ import annotations

import copy
import json
import random
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from graftc.compiler.api import plan
from graftc.compiler.bundling.signing import sign
from graftc.compiler.diagnostics import Refused
from graftc.compiler.execution import executor
from graftc.runtime.manifest import sealed

from ..front.cli import Answer

Graftc = Callable[..., Answer]
Keys = tuple[Any, ...]
FINE = (0, 1, 2, 4)  # statuses that are no mistake of graftc's own
SECONDS = 20.0
DESCRIPTIVE: tuple[str, ...] = ()  # keys of a manifest that may be edited: its seal is of all of them
JUNK: list[Any] = [
    *(None, True, False, 0, 1, -1, -5, 1.5, 1e308, -0.0, 10**30, "", "x", "\x1b[31m", "a\0b", "../x", "/etc/passwd"),
    *("class", "\ud800", "x: int\n    y", "hub:a/b", [], {}, [1], ["a"], {"a": 1}, [[]], {"": {}}, "é" * 300),
]


@dataclass(frozen=True)
class Edit:
    """An edited document and the keys at which it was edited."""

    value: Any
    keys: tuple[str, ...]


@dataclass(frozen=True)
class Tried:
    """What came of an edit; `is_wrong` where it is not what was promised."""

    kind: str
    edit: Edit
    statuses: tuple[int, ...]
    seconds: float
    is_wrong: bool


def places(value: Any, path: Keys = ()) -> Iterator[Keys]:
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield (*path, key)
        yield from places(value[key], (*path, key))


def edited(value: Any, chance: random.Random) -> Edit:
    """A copy in which one to three values are others, gone or renamed; never the same document."""
    while True:
        found, keys = copy.deepcopy(value), []
        for _ in range(chance.choice([1, 1, 1, 2, 3])):
            *path, key = chance.choice([*places(found)] or [("",)])
            inner = found
            for step in path:
                inner = inner[step]
            keys.append(".".join(map(str, (*path, key))))
            _change(inner, key, value, chance)
        if _text(found) != _text(value):
            return Edit(found, tuple(keys))


def _change(inner: Any, key: Any, whole: Any, chance: random.Random) -> None:
    """Replaces, moves, removes or renames what stands at a key."""
    kind = chance.random()
    if kind < 0.35 or key not in (inner if isinstance(inner, dict) else range(len(inner))):
        inner[key] = copy.deepcopy(chance.choice(JUNK))
    elif kind < 0.6:  # of the same kind, and so harder to tell
        inner[key] = _near(inner[key], chance)
    elif kind < 0.75:  # what stands somewhere else
        other: Any = whole
        for step in chance.choice([*places(whole)]):
            other = other[step]
        inner[key] = copy.deepcopy(other)
    elif kind < 0.88 or isinstance(inner, list):
        del inner[key]
    else:
        inner[chance.choice(["x", "", "../y", "\x1b", "a\0"])] = inner.pop(key)


def _near(value: Any, chance: random.Random) -> Any:
    if isinstance(value, bool) or value is None:
        return not value
    if isinstance(value, int | float):
        return chance.choice([value + 1, value - 1, value * 2, -value, float(value)])
    if isinstance(value, str):
        return chance.choice([value + "x", value[:-1], value.upper(), value + "\n"])
    if isinstance(value, list):
        return [*value, *value] if chance.random() < 0.5 else value[::-1]
    return {**value, "more": 1}


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


class Reached(BaseException):
    """A build has come to its first stage."""


def plans(whole: Any, count: int, seed: int, folder: Path, graftc: Graftc) -> Iterator[Tried]:
    """Edited plans, checked up to the start of the first stage: one is built only where its spec gives just that plan."""
    chance, file = random.Random(seed), folder / "edited.json"
    before = executor.run_stages
    executor.run_stages = _reached
    try:
        for _ in range(count):
            edit = edited(whole, chance)
            file.write_text(json.dumps(edit.value))
            start = time.monotonic()
            try:
                status = graftc("build", file, "-o", folder / "out", "--quiet").status
            except Reached:
                status = 0
            spent = time.monotonic() - start
            is_wrong = status not in FINE or spent > SECONDS or (not status and not _is_given(edit.value, folder))
            yield Tried("plan", edit, (status,), spent, is_wrong)
    finally:
        executor.run_stages = before


def _reached(*_: Any) -> Any:
    raise Reached


def _is_given(edit: Any, folder: Path) -> bool:
    """Whether a plan is what its spec gives, written as a file and planned like any other."""
    (folder / "again.yaml").write_text(yaml.safe_dump(edit["spec"], sort_keys=False))
    try:
        return json.loads(plan(folder / "again.yaml").text()) == {k: v for k, v in edit.items() if k != "pins"}
    except Refused:
        return False


def manifests(bundle: Path, question: Any, count: int, seed: int, folder: Path, graftc: Graftc) -> Iterator[Tried]:
    """Edited manifests of a signed bundle: no verb takes one, not even sealed anew where a key is asked for."""
    place, key = Path(shutil.copytree(bundle, folder / "edited")), Ed25519PrivateKey.generate()
    form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    (folder / "edits.pub").write_bytes(key.public_key().public_bytes(*form))
    sign(place, key)
    whole, chance = json.loads((place / "manifest.json").read_bytes()), random.Random(seed)
    verbs = (["verify", place], ["predict", place, question], ["verify", place, "--key", folder / "edits.pub"])
    for i in range(count):
        edit, is_resealed = edited(whole, chance), i % 2 == 1
        (place / "manifest.json").write_text(json.dumps(_resealed(edit.value) if is_resealed else edit.value))
        start = time.monotonic()
        statuses = tuple(graftc(*verb).status for verb in verbs)
        spent = time.monotonic() - start
        is_taken = not statuses[2] or (not is_resealed and 0 in statuses and not set(edit.keys) <= set(DESCRIPTIVE))
        is_wrong = is_taken or bool({*statuses} - {*FINE}) or spent > SECONDS * len(verbs)
        yield Tried("sealed anew" if is_resealed else "manifest", edit, statuses, spent, is_wrong)


def _resealed(manifest: Any) -> Any:
    """A manifest as somebody writes it who knows how it is sealed; what is none any more, as it is."""
    try:
        return sealed(manifest)
    except (TypeError, ValueError):
        return manifest
