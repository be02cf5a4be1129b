"""When work that takes long writes down how far it has come."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

EVERY = 60.0  # seconds between two saves
SHARE = 20.0  # seconds of work, at least, for each second that a save takes


class Saves:
    """How long ago the last save was, and what it took."""

    def __init__(self) -> None:
        self.saved, self.cost = time.monotonic(), 0.0

    def is_due(self) -> bool:
        """Whether enough was done since to be worth a save."""
        waited = time.monotonic() - self.saved
        return waited > EVERY and waited > SHARE * self.cost

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Around a save."""
        start = time.monotonic()
        yield
        self.saved = time.monotonic()
        self.cost = self.saved - start
