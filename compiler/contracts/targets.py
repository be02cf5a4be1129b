"""Statistics of targets: what is counted of the rows of a split while they are read, each once.

Generic code asks of them what they are by `isinstance`: labels of rows, types of entities, numbers, or only rows.
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
    """How many rows there are and what their targets say: by this a score is known to have a value or none."""

    rows: int
    counts: Mapping[str, int] = field(default_factory=dict)  # label, or type of entity → how often it stands there
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)  # column → lowest and highest number


class TargetStatistics(ABC):
    """What every head counts of its targets; a head that looks at nothing else counts rows."""

    rows: int  # that can be used

    @abstractmethod
    def __init__(self, columns: Columns, options: Any = None) -> None:
        """Has seen no row; `options` are those of the head, None where its data is recalled or they are wrong."""

    @property
    @abstractmethod
    def strata(self) -> tuple[int, ...]:
        """Rows of each stratum, of which a share is held out."""

    @abstractmethod
    def add(self, values: Row, place: Place) -> Unusable | None:
        """Looks at one row; returns what is wrong when its target is unusable."""

    @abstractmethod
    def record(self) -> Record:
        """What a lock keeps, for `recall`."""

    @classmethod
    @abstractmethod
    def recall(cls, columns: Columns, record: Record, place: Place) -> Self:
        """The statistics that gave `record`, as if the rows had been read; each of these is then at `place`.

        Raises ValueError, KeyError, TypeError or AttributeError for a record that no rows give.
        """

    @property
    def summary(self) -> Summary:
        """What scores ask of them."""
        return Summary(self.rows)


class LabelCounts(TargetStatistics):
    """Of targets that name something: how often each name stands in the rows, and where first."""

    role: str  # of the columns that hold the targets
    column: str  # the first of them
    counts: dict[str, int]
    first: dict[str, Place]

    @property
    def summary(self) -> Summary:
        """What scores ask of them."""
        return Summary(self.rows, self.counts)


class RowLabels(LabelCounts):
    """Of rows that have labels themselves: one each, or any number where `is_multi`."""

    is_multi: bool
    kinds: dict[tuple[str, str], Place]  # a table and a kind of label, such as text → the first row with one

    @abstractmethod
    def joined(self) -> Joined | None:
        """A label that is made of others, where rows may have several."""


class ScoreRanges(TargetStatistics):
    """Of targets that are numbers: the least and the most of each column, with the first row that says it."""

    columns: tuple[str, ...]
    least: dict[str, tuple[float, Place]]
    most: dict[str, tuple[float, Place]]

    @property
    def summary(self) -> Summary:
        """What scores ask of them."""
        return Summary(self.rows, ranges={each: (self.least[each][0], self.most[each][0]) for each in self.least})


class Joined(NamedTuple):
    """A label that is made of others, their mark, and how many labels are."""

    label: str
    parts: tuple[str, ...]
    mark: str
    labels: int
