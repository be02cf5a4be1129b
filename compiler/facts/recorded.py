"""Facts of the data from a lock, in place of reading it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .columns import Columns

if TYPE_CHECKING:
    from .facts import SplitFacts


@dataclass(frozen=True)
class Known:
    """Recorded facts of the data, used without opening its files."""

    columns: Columns
    splits: Mapping[str, SplitFacts]
    measured: Mapping[str, float]
    pretrain: tuple[Known, ...] = ()
    retain: Known | None = None
    tasks: Mapping[str, Known] = field(default_factory=dict)  # by head, where there are several
    patterns: Mapping[tuple[str, ...], int] = field(default_factory=dict)  # as in `Facts`

    def of(self, name: str) -> Known:
        """The record of a head's data; empty where there is none."""
        return self.tasks.get(name) or Known({}, {}, {})

    def among(self, names: Sequence[str]) -> dict[tuple[str, ...], int]:
        """The numbers of rows that some heads read together."""
        return {heads: rows for heads, rows in self.patterns.items() if set(heads) <= set(names)}
