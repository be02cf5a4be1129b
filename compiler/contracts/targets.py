"""Statistics of targets, counted while the rows of a split are read once.

Generic code tells them apart by `isinstance`: labels of rows, types of entities, numbers, or rows alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from .reading import Columns, Record, Row

if TYPE_CHECKING:
    from ..facts.rows import Unusable

Place = tuple[str, int]  # a file and the number of a row


@dataclass(frozen=True)
class Summary:
    """Counts and ranges of targets, from which it is known whether a score is defined."""

    rows: int
    counts: Mapping[str, int] = field(default_factory=dict)  # label or type of entity → number of rows
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)  # column → (lowest, highest) number


class TargetStatistics(ABC):
    """The statistics that every head keeps of its targets: at least the number of rows."""

    rows: int  # rows that can be used

    @abstractmethod
    def __init__(self, columns: Columns, options: Any = None) -> None:
        """Statistics of no rows yet; `options` are the head's, None where data is recalled or options are wrong."""

    @property
    @abstractmethod
    def strata(self) -> tuple[int, ...]:
        """The number of rows of each stratum; a share of each stratum is held out."""

    @abstractmethod
    def add(self, values: Row, place: Place) -> Unusable | None:
        """Counts one row; returns why its target is unusable, or None."""

    @abstractmethod
    def record(self) -> Record:
        """The statistics as data for a lock, which `recall` reads."""

    @classmethod
    @abstractmethod
    def recall(cls, columns: Columns, record: Record, place: Place) -> Self:
        """The statistics that gave `record`, as if the rows had been read; every row is then at `place`.

        Raises ValueError, KeyError, TypeError or AttributeError for a record that no rows give.
        """

    @property
    def summary(self) -> Summary:
        """The summary that metrics need."""
        return Summary(self.rows)


class LabelCounts(TargetStatistics):
    """Counts of targets that are names: how often each name occurs, and where first."""

    role: str  # the role of the columns that hold the targets
    column: str  # the first of these columns
    counts: dict[str, int]
    first: dict[str, Place]

    @property
    def summary(self) -> Summary:
        """The summary that metrics need."""
        return Summary(self.rows, self.counts)


class RowLabels(LabelCounts):
    """Counts of labels of rows: one label for each row, or any number where `is_multi`."""

    is_multi: bool
    kinds: dict[tuple[str, str], Place]  # (table, kind of label, such as text) → the first such row

    @abstractmethod
    def joined(self) -> Joined | None:
        """A label that looks like several labels joined, where rows may have several; else None."""


class ScoreRanges(TargetStatistics):
    """Ranges of targets that are numbers: the lowest and the highest of each column, each with its first row."""

    columns: tuple[str, ...]
    least: dict[str, tuple[float, Place]]
    most: dict[str, tuple[float, Place]]

    @property
    def summary(self) -> Summary:
        """The summary that metrics need."""
        return Summary(self.rows, ranges={each: (self.least[each][0], self.most[each][0]) for each in self.least})


class Joined(NamedTuple):
    """A label that looks like several labels joined by a mark, and the number of such labels."""

    label: str
    parts: tuple[str, ...]
    mark: str
    labels: int
