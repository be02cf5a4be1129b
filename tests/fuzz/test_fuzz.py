"""A minute of what benchmarks/fuzz.py does for ten, the same at every run, and every input that was ever a finding."""

from __future__ import annotations

import json
import struct
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from ..corpus import world
from . import strategies
from .case import KEPT, Case, hold, kept

BUDGET = 4.5  # seconds of each kind; on a slow machine fewer inputs are tried
MOST = 400


@pytest.fixture(autouse=True)
def _store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAFTC_STORE", str(tmp_path / "store"))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return world.write(tmp_path_factory.mktemp("world"))


@pytest.mark.parametrize("kind", strategies.KINDS)
def test_whatever_is_read_gets_an_answer(kind: str, place: Path) -> None:
    tried = 0
    end = time.monotonic() + BUDGET

    @settings(
        max_examples=MOST, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @given(strategies.kinds(place)[kind])
    def attempt(case: Case) -> None:
        nonlocal tried
        if time.monotonic() < end:
            hold(case, place)
            tried += 1

    attempt()
    assert tried > MOST // 20


def test_every_kind_is_tried(place: Path) -> None:
    assert set(strategies.kinds(place)) == set(strategies.KINDS)


@pytest.mark.parametrize("name", sorted(folder.name for folder in KEPT.glob("*")))
def test_what_was_found_once(name: str, place: Path) -> None:
    hold(kept(KEPT / name), place)


def large(place: Path) -> dict[str, Case]:
    """Files that would swell the repository."""
    header = {"x" * 80 + str(i): {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for i in range(40_000)}
    raw = json.dumps(header).encode()
    many = b"graftc: 1\nname: fuzz\n" + b"".join(b"key%d: 1\n" % i for i in range(8_000))
    return {
        "ten megabytes of spec": Case(b"name: x\n" * 1_310_720),
        "one line of ten megabytes": Case(b"a: " + b"x" * 10_485_760),
        "a megabyte of brackets": Case(b"[" * 1_000_000),
        "a megabyte of keys": Case(b"{a: " * 250_000),
        "eight thousand unknown keys": Case(many),
        "a list of fifty thousand selectors": Case(
            b"graftc: 1\nname: a\nbackbone:\n  from: ./bert\n  freeze:\n" + b"  - layers[0:9]\n" * 50_000
        ),
        "a megabyte of quotes": Case(b'"' * 1_000_000),
        "a megabyte of anchors": Case(b"".join(b"a%d: &x%d 1\n" % (i, i) for i in range(60_000))),
        "a megabyte of dashes": Case(b"- " * 500_000),
        "a megabyte of question marks": Case(b"? " * 500_000),
        "a header of six megabytes": Case(files={"bert/model.safetensors": struct.pack("<Q", len(raw)) + raw}),
        "a header that claims all there is": Case(files={"bert/model.safetensors": struct.pack("<Q", 2**64 - 1)}),
        "config.json of ten megabytes": Case(files={"bert/config.json": b'{"a": "' + b"x" * 10_485_760 + b'"}'}),
        "tokenizer.json of ten megabytes": Case(files={"bert/tokenizer.json": b"[" * 10_485_760}),
        "a line of ten megabytes": Case(files={"train.jsonl": b'{"body": "' + b"x" * 10_485_760 + b'", "queue": "a"}'}),
        "ten megabytes of JSON brackets": Case(files={"train.jsonl": b"[" * 10_485_760}),
    }


LARGE = (
    *("ten megabytes of spec", "one line of ten megabytes", "a megabyte of brackets", "a megabyte of keys"),
    *("eight thousand unknown keys", "a list of fifty thousand selectors", "a megabyte of quotes"),
    *("a megabyte of anchors", "a megabyte of dashes", "a megabyte of question marks", "a header of six megabytes"),
    *("a header that claims all there is", "config.json of ten megabytes", "tokenizer.json of ten megabytes"),
    *("a line of ten megabytes", "ten megabytes of JSON brackets"),
)


@pytest.mark.parametrize("name", LARGE)
def test_what_is_large_gets_an_answer(name: str, place: Path) -> None:
    hold(large(place)[name], place)
