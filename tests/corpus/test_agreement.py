"""The JSON Schema refuses what the validator refuses, over every broken spec of the corpus and every example.

A schema can judge the shape of a spec that is YAML: its keys, kinds of values, ranges and words, E0201 to E0208,
and contradictions between two keys of one section, E0209. It can't judge the world: what a backbone has and what
is in the data. ELSEWHERE lists the few places where the two see different things, each with its reason.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from graftc.compiler.diagnostics import Diagnostic
from graftc.compiler.language.schema import schema
from graftc.compiler.language.source import Source, read

from . import world
from .corpus import SPECS, Answer, ask, planted

EXAMPLES = Path(__file__).resolve().parents[2] / "specs"
SHAPE = {*(f"E020{i}" for i in range(1, 9))}
YAML = "E01"


def value(diagnostic: Diagnostic, source: Source) -> Any:
    """What stands at a finding's place; where a key is missing, nothing."""
    found: Any = source.data
    for step in getattr(diagnostic.at, "path", ()):
        if isinstance(found, dict) and step not in found:
            return None
        found = found[step]
    return found


# findings of shape that JSON Schema has no means to see
ELSEWHERE: dict[str, Callable[[Any], bool]] = {
    "to JSON Schema 1.0 and 1e2 are whole numbers": lambda found: isinstance(found, float) and found % 1 == 0,
    "JSON has neither infinity nor NaN": lambda found: isinstance(found, float) and not abs(found) < float("inf"),
}
# words that the language has and this version has not there: the schema is one of the language
LATER = ("export", "heads")
# the schema knows which roles a head's columns may play; the validator says so when it looks at the data
ROLES = ("E0312", ("data", "columns"))
# contradictions of two keys that stand side by side
TOGETHER = ("epochs", "a precision", "head` and `heads")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return world.write(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def refuses() -> Callable[[Any], bool]:
    validator = Draft202012Validator(schema())
    return lambda data: not validator.is_valid(plain(data))


def plain(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: plain(item) for key, item in data.items()}
    return [plain(item) for item in data] if isinstance(data, tuple) else data


def is_shape(diagnostic: Diagnostic, source: Source) -> bool:
    """Whether a schema must see it."""
    path = getattr(diagnostic.at, "path", ())
    if diagnostic.code == "E0209":
        return diagnostic.headline.strip("`").startswith(TOGETHER)
    if diagnostic.code not in SHAPE or (diagnostic.code == "E0206" and path[0] in LATER):
        return False
    return diagnostic.code == "E0205" or not is_unseen(diagnostic, source)  # of ranges both see the same


def is_unseen(diagnostic: Diagnostic, source: Source) -> bool:
    return diagnostic.code in SHAPE and any(is_so(value(diagnostic, source)) for is_so in ELSEWHERE.values())


def must_refuse(answer: Answer) -> bool | None:
    """Whether a schema must refuse a spec; None where it may."""
    assert answer.source is not None
    if any(is_shape(diagnostic, answer.source) for diagnostic in answer.found):
        return True
    if any(is_unseen(diagnostic, answer.source) for diagnostic in answer.found):
        return None
    paths = ((d.code, getattr(d.at, "path", ())[:2]) for d in answer.found)
    return None if any(found == ROLES for found in paths) else False


@pytest.mark.parametrize("spec", sorted(SPECS.glob("*.yaml")), ids=lambda spec: spec.stem)
def test_a_broken_spec(spec: Path, folder: Path, refuses: Callable[[Any], bool]) -> None:
    if any(code.startswith(YAML) for _, _, code in planted(spec)):
        pytest.skip("no YAML, so no values")
    answer = ask(Path(shutil.copy(spec, folder / "spec.yaml")))
    assert answer.source is not None
    expected, found = must_refuse(answer), refuses(answer.source.data)
    assert expected is None or expected == found, answer.found


@pytest.mark.parametrize("spec", sorted(EXAMPLES.glob("*.yaml")), ids=lambda spec: spec.stem)
def test_an_example(spec: Path, refuses: Callable[[Any], bool]) -> None:
    assert not refuses(read(spec).data)


def test_the_corpus_puts_the_schema_to_the_test() -> None:
    """Most broken specs are YAML, and most of those have a mistake of shape."""
    codes = [{code for _, _, code in planted(spec)} for spec in SPECS.glob("*.yaml")]
    assert sum(bool(found & SHAPE) for found in codes) > len(codes) // 3
