"""What is worth a look in a training that has ended, as data: codes, what was seen and the key to change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Finding:
    """One finding: `key` is the key of the spec to change, `head` the name of the head that it is about, if any."""

    code: str
    headline: str
    key: str
    notes: tuple[str, ...]
    help: str
    head: str = ""

    def plain(self) -> dict[str, Any]:
        """As JSON, for the manifest."""
        return {**asdict(self), "notes": list(self.notes)}

    @classmethod
    def read(cls, found: Mapping[str, Any]) -> Finding:
        """What `plain` gave."""
        return cls(**{**found, "notes": tuple(found["notes"])})
