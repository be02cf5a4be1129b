"""How tests are run: the longest files first, each worker on cores of its own, in memory where there is plenty."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from .. import durations, place


def test_files_that_are_recorded_are_there() -> None:
    assert [name for name in durations.recorded() if not (durations.ROOT / name).is_file()] == []


def test_the_longest_files_come_first_and_all_others_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(durations, "recorded", lambda: {"c.py": 9.0, "b.py": 20.0})
    items: list[Any] = [SimpleNamespace(nodeid=f"{file}.py::{test}") for file in "abcd" for test in "xy"]
    durations.Durations(False).pytest_collection_modifyitems(items)
    assert "".join(item.nodeid.replace(".py::", "") for item in items) == "bxbycxcyaxaydxdy"


def test_workers_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[set[int]] = []
    monkeypatch.setattr(os, "sched_getaffinity", lambda who: {3, 1, 4, 5, 9})
    monkeypatch.setattr(os, "sched_setaffinity", lambda who, cores: given.append(set(cores)))
    for count, name in ((2, "gw0"), (2, "gw1"), (6, "gw0"), (1, "gw0"), (2, "main")):
        monkeypatch.setenv("PYTEST_XDIST_WORKER_COUNT", str(count))
        monkeypatch.setenv("PYTEST_XDIST_WORKER", name)
        place.keep_to_own_cores()
    assert given == [{1, 4, 9}, {3, 5}], "where there are enough, and several workers"


@pytest.mark.parametrize(
    ("free", "flag", "is_fit"), [(8 << 30, 0, True), (64 << 20, 0, False), (8 << 30, os.ST_NOEXEC, False)]
)
def test_memory_is_used_where_there_is_plenty(
    free: int, flag: int, is_fit: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTEST_DEBUG_TEMPROOT", raising=False)
    monkeypatch.setattr(place, "MEMORY", tmp_path)
    monkeypatch.setattr(os, "statvfs", lambda path: SimpleNamespace(f_bavail=free, f_frsize=1, f_flag=flag))
    place.use_memory()
    assert (os.environ.pop("PYTEST_DEBUG_TEMPROOT", None) == str(tmp_path)) is is_fit


def test_a_folder_that_is_named_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_DEBUG_TEMPROOT", "named")
    place.use_memory()
    assert os.environ["PYTEST_DEBUG_TEMPROOT"] == "named"
