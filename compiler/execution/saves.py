"""Decides when long work saves its progress."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

EVERY = 60.0  # seconds between two saves
SHARE = 20.0  # least seconds of work for each second that a save takes


class Saves:
    """The time and the duration of the last save."""

    def __init__(self) -> None:
        self.saved, self.cost = time.monotonic(), 0.0

    def is_due(self) -> bool:
        """Whether enough time has passed for another save."""
        waited = time.monotonic() - self.saved
        return waited > EVERY and waited > SHARE * self.cost

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Measures a save."""
        start = time.monotonic()
        yield
        self.saved = time.monotonic()
        self.cost = self.saved - start
