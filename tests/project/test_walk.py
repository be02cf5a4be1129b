"""The architecture page's walk of a plan to a network is the way that `assemble` takes."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

import graftc
from graftc.compiler.model.assembly import assemble

from ..backbones import tiny

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "explanation" / "architecture.md").read_text(encoding="utf-8")
# rooms that hold data or hash it, which the page says are asked on the way
ASKED = {"compiler/planning/", "compiler/store/", "compiler/contracts/", "compiler/inputs/"}


@cache
def room_of(file: str) -> str:
    """The room of a module, empty for whatever is in none."""
    path = os.path.realpath(file)
    parts = path.removeprefix(f"{ROOT}{os.sep}").split(os.sep)
    is_inside = path.startswith(f"{ROOT}{os.sep}") and parts[0] in ("compiler", "runtime") and len(parts) > 2
    return "/".join([*parts[:2], ""]) if is_inside else ""


@contextmanager
def followed() -> Iterator[list[str]]:
    """The rooms whose functions are called within, in order of the first call."""
    seen: list[str] = []

    def note(frame: FrameType, event: str, argument: Any) -> None:
        room = room_of(frame.f_code.co_filename) if event == "call" and frame.f_code.co_name != "<module>" else ""
        if room and room not in seen:
            seen.append(room)

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        yield seen
    finally:
        sys.setprofile(before)


def test_a_plan_becomes_a_network_in_the_rooms_that_are_listed(tmp_path: Path) -> None:
    tiny.save("bert", tmp_path / "backbone")
    rows = [{"text": f"a word {i}", "label": "ab"[i % 2]} for i in range(40)]
    (tmp_path / "train.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    spec = {
        "graftc": 1,
        "name": "walk",
        "backbone": {"from": "./backbone"},
        "adapt": {"method": "lora"},
        "head": {"type": "text-classification"},
        "data": {"train": "train.jsonl", "columns": {"text": "text", "label": "label"}, "max_length": 16},
    }
    (tmp_path / "walk.yaml").write_text(json.dumps(spec))
    plan = graftc.plan(tmp_path / "walk.yaml")
    with followed() as seen:
        assemble(plan, tmp_path / "backbone")
    walk, _, _ = PAGE.partition("**One plan, to a network.**")[2].partition("**One row")
    listed = re.findall(r"^\d\. `([\w./]+)`", walk, re.MULTILINE)
    visited = [room for room in seen if room not in ASKED]
    assert visited == [room for room in listed if room in visited]
    assert set(visited) >= {"compiler/model/", "compiler/methods/", "compiler/heads/", "compiler/layers/"}
