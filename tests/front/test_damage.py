"""Damage of every kind, by chance: whatever was changed, the answer is fine or coded, and never a traceback."""

from __future__ import annotations

import copy
import json
import random
import shutil
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from graftc.compiler.diagnostics import Refused
from graftc.compiler.planning.plan import read_plan
from graftc.runtime.manifest import sealed

from .cli import Answer
from .conftest import ROWS, SPEC, Project
from .test_bad_bundle import image_bundle, text_bundle

__all__ = ["image_bundle", "text_bundle"]  # fixtures

TIMES = 60
JUNK = [
    *(None, True, False, 0, -1, 1.5, 1e308, 10**30, "", "x", "\x1b[31m", "a\0b", "../x", "/etc/passwd", "\ud800"),
    *([], {}, [1], ["a"], {"a": 1}, [[]], [None], {"": {}}, "é" * 300),
]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield (*path, key)
        yield from places(value[key], (*path, key))


def damaged(value: Any, chance: random.Random) -> Any:
    """A copy in which something is replaced, removed or renamed, once or a few times."""
    value = copy.deepcopy(value)
    for _ in range(chance.choice([1, 1, 1, 2, 3])):
        *path, key = chance.choice([*places(value)] or [("",)])
        inner = value
        for step in path:
            inner = inner[step]
        kind = chance.random()
        if kind < 0.7 or key not in (inner if isinstance(inner, dict) else range(len(inner))):
            inner[key] = copy.deepcopy(chance.choice(JUNK))
        elif kind < 0.85 or isinstance(inner, list):
            del inner[key]
        else:
            inner[chance.choice(["x", "", "../y", "\x1b", "a\0"])] = inner.pop(key)
    return value


def resealed(manifest: Any) -> Any:
    """A manifest as somebody writes it who knows how it is sealed; what is no manifest any more, as it is."""
    try:
        return sealed(manifest)
    except (TypeError, ValueError):
        return manifest


def assert_coded(answer: Answer, what: object) -> None:
    assert answer.status in (0, 1), (what, answer.err)
    assert (answer.status == 0) == (not any(code[0] == "E" for code in answer.codes)), (what, answer.err)


def test_values_of_a_spec(project: Project) -> None:
    chance = random.Random("values")
    for _ in range(4 * TIMES):
        spec = damaged(yaml.safe_load(SPEC), chance)
        project.write("spec.yaml", json.dumps(spec))
        assert_coded(project.validate(), spec)


def test_characters_of_a_spec(project: Project) -> None:
    chance = random.Random("characters")
    for _ in range(4 * TIMES):
        text = [*SPEC]
        for _ in range(chance.choice([1, 2, 5])):
            at = chance.randrange(len(text))
            text[at : at + chance.randrange(2)] = chance.choice("{}[]:,&*!|>'\"%@`#-? \n\t\\\0\x85\u2028\ufeff🙂")
        project.write("spec.yaml", "".join(text))
        answer = project.validate()
        assert answer.status in (0, 1, 4), answer.err  # 4: a source that is not installed


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json"])
def test_files_of_a_backbone(name: str, project: Project) -> None:
    chance, file = random.Random(name), project.backbone() / name
    whole = json.loads(file.read_bytes())
    if name == "tokenizer.json":  # else nearly all of the damage would be to words
        whole["model"]["vocab"] = dict(list(whole["model"]["vocab"].items())[:40])
    for _ in range(2 * TIMES):
        file.write_text(json.dumps(damaged(whole, chance)))
        assert_coded(project.validate(), name)


def test_headers_of_weights(project: Project) -> None:
    chance, file = random.Random("headers"), project.backbone() / "model.safetensors"
    raw = file.read_bytes()
    length = struct.unpack("<Q", raw[:8])[0]
    whole = json.loads(raw[8 : 8 + length])
    for _ in range(TIMES):
        text = json.dumps(damaged(whole, chance)).encode()
        file.write_bytes(struct.pack("<Q", len(text)) + text + raw[8 + length :])
        assert_coded(project.validate(), "header")


def test_rows(project: Project) -> None:
    chance = random.Random("rows")
    for _ in range(2 * TIMES):
        project.write("train.jsonl", "".join(json.dumps(damaged(row, chance)) + "\n" for row in ROWS[:5]))
        assert_coded(project.validate(), "rows")


@pytest.mark.parametrize("kind", ["text_bundle", "image_bundle"])
def test_manifests(kind: str, request: pytest.FixtureRequest, tmp_path: Path, graftc: Callable[..., Answer]) -> None:
    whole: Path = request.getfixturevalue(kind)
    place = Path(shutil.copytree(whole, tmp_path / "bundle"))
    manifest = json.loads((place / "manifest.json").read_bytes())
    question = "a text" if kind == "text_bundle" else whole.parent / "train/0/0.png"
    chance = random.Random(kind)
    for _ in range(3 * TIMES):
        changed = damaged(manifest, chance)
        (place / "manifest.json").write_text(json.dumps(resealed(changed)))
        for verb in (["verify", place], ["inspect", place], ["predict", place, question]):
            assert_coded(graftc(*verb), changed)


def test_plans(project: Project, graftc: Callable[..., Answer]) -> None:
    chance = random.Random("plans")
    whole = json.loads(graftc("plan", "spec.yaml", "--json").out)
    refused = 0
    for _ in range(4 * TIMES):
        try:
            read_plan(json.dumps(damaged(whole, chance)), "plan.json")
        except Refused as error:
            refused += error.diagnostics[0].code == "E0212"
    assert refused > TIMES
