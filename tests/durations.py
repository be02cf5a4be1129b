"""What each file of tests takes, so that the longest ones start first and no worker is left with one at the end.

`pytest -n 2 --record-durations` writes durations.json: seconds of a processor by file, of those that take some.
"""

from __future__ import annotations

import json
import resource
import sys
from collections import defaultdict
from collections.abc import Generator
from pathlib import Path

import pytest

NAME = "tests/durations.json"
ROOT = Path(__file__).resolve().parents[1]
LEAST = 1.0  # seconds that are worth a line
TOOK = "took"


def recorded() -> dict[str, float]:
    """Seconds by file, as they were recorded."""
    found: dict[str, float] = json.loads((ROOT / NAME).read_bytes())
    return found


def file_of(node: str) -> str:
    """The file of a test."""
    return node.partition("::")[0]


class Durations:
    """Orders files, and measures them where `is_recording`."""

    def __init__(self, is_recording: bool) -> None:
        self.is_recording = is_recording
        self.seen = 0.0
        self.files: defaultdict[str, float] = defaultdict(float)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Longest files first; tests of a file keep their order, and so do files of which nothing is known."""
        known = recorded()
        items.sort(key=lambda item: -known.get(file_of(item.nodeid), 0.0))

    def pytest_runtest_logstart(self) -> None:
        """Begins to measure a test."""
        self.seen = _used()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Adds what a phase of a test took; a worker sends it with the report."""
        report = yield
        now = _used()
        report.user_properties.append((TOOK, now - self.seen))
        self.seen = now
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Adds up what a file took."""
        self.files[file_of(report.nodeid)] += sum(took for name, took in report.user_properties if name == TOOK)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Writes what was measured; a worker has sent it."""
        if self.is_recording and not hasattr(session.config, "workerinput"):
            whole = {**recorded(), **self.files}
            kept = {name: round(took, 1) for name, took in whole.items() if took >= LEAST and (ROOT / name).is_file()}
            text = json.dumps(dict(sorted(kept.items(), key=lambda each: -each[1])), indent=1)
            (ROOT / NAME).write_text(text + "\n")


def _used() -> float:
    """Seconds of a processor that this process took, and those that it started and that have ended."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    loaded = sys.modules.get(f"{__package__}.loaded")
    return sum(each.ru_utime + each.ru_stime for each in both) + (loaded.spent if loaded else 0.0)
