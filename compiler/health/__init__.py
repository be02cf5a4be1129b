"""Findings about a finished training, as data: codes, observations, and the key to change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Finding:
    """One finding; `key` is the key of the spec to change, `head` the name of the head in question, if any."""

    code: str
    headline: str
    key: str
    notes: tuple[str, ...]
    help: str
    head: str = ""

    def plain(self) -> dict[str, Any]:
        """The finding as JSON values, for the manifest."""
        return {**asdict(self), "notes": list(self.notes)}

    @classmethod
    def read(cls, found: Mapping[str, Any]) -> Finding:
        """The finding that `plain` gave."""
        return cls(**{**found, "notes": tuple(found["notes"])})
