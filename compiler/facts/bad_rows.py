"""Rows that `data.bad_rows` leaves out: their numbers, their kinds of fault, and the limit on their share."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from sys import intern

from ..diagnostics import At, Diagnostic, clean, quote
from ..formats import Malformed
from .rows import SHOWN, Opened, Unusable, without_values

# round shares to suggest; the last is the largest allowed
SHARES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5)
_PART = re.compile(r"(\d+)(?:-(\d+))?")


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A row that is left out: its table, its number there, and why."""

    table: Opened
    number: int
    kind: str  # the fault in words, the same for all rows with it
    detail: str = ""

    def record(self, split: str) -> dict[str, str | int]:
        """The row as a line of the list beside a lock."""
        place = self.table.row(self.number)
        return {"split": split, "file": place.file, "row": self.number, "reason": self.kind, "detail": self.detail}


RECORDED = frozenset({"split", "file", "row", "reason", "detail"})  # the keys of such a line


@dataclass
class BadRows:
    """The unusable rows of a split, collected while its tables are read; at most `share` of all rows."""

    share: float
    found: list[LeftOut] = field(default_factory=list)

    def unusable(self, table: Opened, number: int, wrong: Unusable) -> None:
        """Adds a row that can't be used."""
        kind = intern(f"{quote(wrong.column)} {wrong.reason}")  # one string in memory for all rows with the fault
        self.found.append(LeftOut(table, number, kind, wrong.detail))

    def malformed(self, table: Opened, error: Malformed) -> None:
        """Adds a row that can't be read; raises an error that concerns the whole file."""
        if not error.row:
            raise error
        detail = without_values(error.reason) if table.boundary.is_closed else error.reason
        self.found.append(LeftOut(table, error.row, "can't be read", detail))

    @property
    def kinds(self) -> dict[str, int]:
        """The number of rows for each kind of fault, sorted."""
        return dict(sorted(Counter(left.kind for left in self.found).items()))

    def skipped(self, tables: Sequence[Opened]) -> tuple[str, ...]:
        """The numbers of the left-out rows of each table, as `ranges` writes them."""
        return tuple(ranges(left.number for left in self.found if left.table == table) for table in tables)

    def too_many(self, split: str, rows: int) -> Iterator[Diagnostic]:
        """The error where more rows than the share can't be used; `rows` is the number of usable rows."""
        count, every = len(self.found), rows + len(self.found)
        if count <= self.share * every:
            return
        notes = tuple(self._told(kind, number) for kind, number in self.kinds.items())
        headline = (
            f"{count:,} of {every:,} rows of the {split} data can't be used, and {self.share:g} of them may be left out"
        )
        at, also = At(("data", "bad_rows", "skip")), (At(("data", split)),)
        help = "mend the data, or the columns that are named for it"
        if (share := next((share for share in SHARES if count <= share * every), None)) and rows:
            help += f"; or allow more, `skip: {share:g}`"
        yield Diagnostic("E0397", headline, at, also, notes, help)

    def _told(self, kind: str, number: int) -> str:
        places = [left.table.row(left.number) for left in self.found if left.kind == kind][:SHOWN]
        shown = ", ".join(
            f"{clean(place.file)}:{place.number}" if place.number else clean(place.file) for place in places
        )
        return f"{number:,}: {kind}, {shown}" + (", …" if number > SHOWN else "")


def ranges(numbers: Iterable[int]) -> str:
    """Numbers of rows as a short text.

    >>> ranges([9, 1, 2, 3])
    '1-3, 9'
    """
    placed = enumerate(sorted(set(numbers)))
    groups = [[number for _, number in group] for _, group in groupby(placed, lambda pair: pair[1] - pair[0])]
    return ", ".join(f"{group[0]}-{group[-1]}" if len(group) > 1 else str(group[0]) for group in groups)


def numbers(text: str) -> frozenset[int]:
    """The numbers in a text that `ranges` wrote.

    >>> sorted(numbers("1-3, 9"))
    [1, 2, 3, 9]
    """
    parts = ((int(first), int(last or first)) for first, last in _PART.findall(text))
    return frozenset(number for first, last in parts for number in range(first, last + 1))
