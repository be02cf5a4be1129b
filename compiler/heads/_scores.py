"""Shared parts of heads that learn numbers: reading, statistics and checks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import Field

from ..contracts.targets import Place, ScoreRanges
from ..diagnostics import At, Diagnostic, Row, clean, quote
from ..facts.rows import Unusable, kind_of

if TYPE_CHECKING:
    import numpy as np

ROLES = ("score", "label")  # roles of columns with numbers; a spec uses one of them
Range = Annotated[tuple[float, ...], Field(min_length=2, max_length=2)]
LARGEST = 1e15  # the sum of squares of a batch must fit float32


class Tally(ScoreRanges):
    """The range of each column of numbers, found while rows are read; without such a column it counts rows."""

    def __init__(self, columns: Mapping[str, tuple[str, ...]], options: Any = None) -> None:
        self.roles = dict(columns)
        self.columns: tuple[str, ...] = next((columns[role] for role in ROLES if role in columns), ())
        self.rows = 0
        self.least: dict[str, tuple[float, Place]] = {}
        self.most: dict[str, tuple[float, Place]] = {}

    @property
    def strata(self) -> tuple[int, ...]:
        """All rows as one stratum."""
        return (self.rows,)

    def add(self, values: Mapping[str, Any], place: Place) -> Unusable | None:
        """Reads the numbers of one row; returns why its target is unusable, or None."""
        for column in self.columns:
            found = read_number(values.get(column))
            if isinstance(found, str):
                shown = values.get(column)
                return Unusable(column, found, "" if shown in (None, "") else f"it is {clean(shown)}")
            if column not in self.least or found < self.least[column][0]:
                self.least[column] = found, place
            if column not in self.most or found > self.most[column][0]:
                self.most[column] = found, place
        self.rows += 1
        return None

    def record(self) -> dict[str, Any]:
        """The ranges as data for a lock, which `recall` reads."""
        ends = [(self.least[column][0], self.most[column][0]) for column in self.columns]
        return {"rows": self.rows, "ranges": tuple(ends)}

    @classmethod
    def recall(cls, columns: Mapping[str, tuple[str, ...]], record: Mapping[str, Any], place: Place) -> Self:
        """The tally that gave `record`, as if the rows had been read; every extreme is then at `place`.

        Raises ValueError, KeyError or TypeError for a record that no rows give.
        """
        tally = cls(columns)
        tally.rows = int(record["rows"])
        for column, (least, most) in zip(tally.columns, record["ranges"], strict=True):
            tally.least[column], tally.most[column] = (float(least), place), (float(most), place)
        return tally


def read_number(value: Any) -> float | str:
    """A cell as a number, or why it is none; true and false are 1 and 0.

    >>> read_number("3.5"), read_number(True), read_number("high")
    (3.5, 1.0, 'is text, not a number')
    """
    if value is None or value == "":
        return "is missing"
    if not isinstance(value, int | float | str):
        return f"is {kind_of(value)}, not a number"
    try:
        found = float(value)
    except ValueError:
        return "is text, not a number"
    except OverflowError:
        found = math.inf
    return found if abs(found) < LARGEST else "is beyond the numbers that can be learned"


def all_equal(train: Tally) -> Iterator[Diagnostic]:
    """Errors for columns whose numbers are all equal."""
    for column in train.columns:
        if train.least[column][0] == train.most[column][0]:
            note = f"every row says {train.least[column][0]:g} in {quote(column)}"
            help = "there is nothing to learn where rows don't differ"
            at = At(("data", "train"))
            yield Diagnostic("E0315", "the training rows have one number only", at, notes=(note,), help=help)


def outside(tallies: Mapping[str, Tally], low: float, high: float, help: str) -> Iterator[Diagnostic]:
    """Errors for numbers outside of the range that a head can learn, one for each split, at the most extreme row."""
    for name, tally in tallies.items():
        for column in tally.columns:
            ends = (tally.most[column], tally.least[column])
            wrong = next((end for end in ends if not low <= end[0] <= high), None)
            if wrong:
                value, place = wrong
                headline = f"{quote(column)} is {value:g}, and scores lie between {low:g} and {high:g} here"
                note = f"the {name} data says {tally.least[column][0]:g} to {tally.most[column][0]:g}"
                yield Diagnostic("E0370", headline, Row(*place), (At(("data", name)),), (note,), help)


def backwards(scores: Sequence[float] | None) -> Iterator[Diagnostic]:
    """The error for a `score_range` whose end is not above its start."""
    if scores and not scores[0] < scores[1]:
        at, help = At(("head", "score_range"), "the second must be larger"), "write the lowest score first"
        yield Diagnostic("E0209", f"`score_range` goes from {scores[0]:g} to {scores[1]:g}", at, help=help)


def numbers(row: Mapping[str, Any], columns: Sequence[str]) -> np.ndarray:
    """The numbers of a row that `Tally` accepted: float32 (columns,)."""
    import numpy as np

    return np.array([read_number(row[column]) for column in columns], np.float32)


def scaled(values: np.ndarray, scores: Sequence[float] | None) -> np.ndarray:
    """Numbers mapped so that the ends of a range become 0 and 1; unchanged without a range."""
    if scores is None:
        return values
    found: np.ndarray = (values - values.dtype.type(scores[0])) / values.dtype.type(scores[1] - scores[0])
    return found
