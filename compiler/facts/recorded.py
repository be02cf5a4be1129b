"""What an earlier look at the data found, in place of another one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .columns import Columns

if TYPE_CHECKING:
    from .facts import SplitFacts


@dataclass(frozen=True)
class Known:
    """What an earlier look at the data found, taken as it is: its files are not opened."""

    columns: Columns
    splits: Mapping[str, SplitFacts]
    measured: Mapping[str, float]
    pretrain: tuple[Known, ...] = ()
    retain: Known | None = None
    tasks: Mapping[str, Known] = field(default_factory=dict)  # of several heads, by name
    patterns: Mapping[tuple[str, ...], int] = field(default_factory=dict)  # as Facts has them

    def of(self, name: str) -> Known:
        """What was found in the data of a head; nothing where that is not known."""
        return self.tasks.get(name) or Known({}, {}, {})

    def among(self, names: Sequence[str]) -> dict[tuple[str, ...], int]:
        """What is known of the rows that some heads read together."""
        return {heads: rows for heads, rows in self.patterns.items() if set(heads) <= set(names)}
