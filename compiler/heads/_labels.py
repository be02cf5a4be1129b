"""Reads and counts labels of rows: one for each row, several as a list or a text, or one column for each label."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Self

from ..contracts.options import Labelled
from ..contracts.targets import Joined, Place, RowLabels
from ..diagnostics import clean
from ..facts.rows import Unusable, kind_of
from ._joined import joined
from ._lists import is_like_a_list, listed

MOST = 1 << 16  # the most different labels
KINDS = {str: "text", bool: "true or false", int: "number", float: "number"}  # type of a label → its name
HOT = {"0": False, "1": True, "false": False, "true": True}  # whether a label applies
# values of a label's column: numbers, words of JSON, or these as text, also as Python prints them
FLAGS: dict[Any, bool] = {0: False, 1: True, "0": False, "1": True, "0.0": False, "1.0": True} | {
    form: word == "true" for word in ("false", "true") for form in (word, word.capitalize(), word.upper())
}
LISTS = 'write lists with commas, as JSON has them: `["a", "b"]`; or put `|` between the labels'
NAMES = "write `head.labels: [a, b, …]`, a name for each place of the lists; or write the names into the rows"


@lru_cache(maxsize=4)
def index_of(labels: tuple[str, ...]) -> Mapping[str, int]:
    """The place of each label, made once for all rows: there may be thousands of labels."""
    return {label: i for i, label in enumerate(labels)}


class Tally(RowLabels):
    """Counts the labels of a split while its rows are read; after MOST different labels it counts no new ones."""

    def __init__(self, columns: Mapping[str, tuple[str, ...]], options: Any = None) -> None:
        self.is_multi = "labels" in columns
        self.role = "labels" if self.is_multi else "label"
        self.columns = columns[self.role]
        self.column = self.columns[0]
        self.is_wide = len(self.columns) > 1  # whether each label has a column
        self.names = names(options.labels if isinstance(options, Labelled) else None)
        self.counts: dict[str, int] = {}
        self.first: dict[str, Place] = {}
        self.rows = 0
        self.texts: set[str] = set()  # labels that occurred in rows as text
        self.kinds: dict[tuple[str, str], Place] = {}  # (table, type of label) → the first row
        self.is_hot: bool | None = None  # whether all lists so far have two items, each 0 or 1

    @property
    def strata(self) -> tuple[int, ...]:
        """The rows of each stratum: of each label, or all rows where a row has several labels."""
        return (self.rows,) if self.is_multi else tuple(self.counts.values())

    def add(self, values: Mapping[str, Any], place: Place) -> Unusable | None:
        """Counts one row; returns why its target is unusable, or None."""
        value = values.get(self.column)
        if type(value) is str and value in self.texts:  # nearly every row
            self.counts[value] += 1
            self.rows += 1
            return None
        labels = self._read(values, value)
        if isinstance(labels, Unusable):
            return labels
        for label in labels:
            if label in self.counts:
                self.counts[label] += 1
            elif len(self.counts) <= MOST:
                self.counts[label], self.first[label] = 1, place
        self._remember(value, labels, place)
        self.rows += 1
        return None

    def _read(self, values: Mapping[str, Any], value: Any) -> tuple[str, ...] | Unusable:
        if self.is_wide:
            return read_flags(values, self.columns)
        return read_labels(value, self.column, self.is_multi, self.names)

    def _remember(self, value: Any, labels: tuple[str, ...], place: Place) -> None:
        if not self.is_multi:
            self.kinds.setdefault((place[0], KINDS[type(value)]), place)
            if type(value) is str and value in self.counts:
                self.texts.add(value)
        elif labels and not self.is_wide and self.is_hot is not False:
            self.is_hot = len(labels) == 2 and HOT.keys() >= set(labels)

    def joined(self) -> Joined | None:
        """A label that looks like several joined, where rows may have several; else None."""
        return joined(self.counts) if self.is_multi and not self.is_wide else None

    def record(self) -> dict[str, Any]:
        """The counts as data for a lock, which `recall` reads."""
        return {"rows": self.rows, "counts": written_counts(self.counts)}

    @classmethod
    def recall(cls, columns: Mapping[str, tuple[str, ...]], record: Mapping[str, Any], place: Place) -> Self:
        """The tally that gave `record`, as if the rows had been read; the first row of every label is then at `place`.

        Raises ValueError, KeyError, TypeError or AttributeError for a record that no tally gives.
        """
        tally = cls(columns)
        tally.counts = read_counts(record["counts"])
        tally.first = dict.fromkeys(tally.counts, place)
        tally.rows = record["rows"]
        if sum(tally.strata) != tally.rows:
            raise ValueError(f"{tally.rows} rows")
        return tally


def names(written: Iterable[Any] | None) -> tuple[str, ...]:
    """The labels that a spec writes; empty where it leaves them open."""
    return tuple(map(label_word, written or ()))


def written_counts(counts: Mapping[str, int]) -> tuple[str, ...]:
    """Counts of labels as texts for a lock, in the order of labels."""
    return tuple(f"{counts[label]} {label}" for label in order(counts))


def read_counts(entries: Iterable[str]) -> dict[str, int]:
    """The counts that `written_counts` wrote; raises ValueError or AttributeError for anything else."""
    return {label: int(number) for number, _, label in (entry.partition(" ") for entry in entries)}


def read_labels(value: Any, column: str, is_multi: bool, names: Sequence[str] = ()) -> tuple[str, ...] | Unusable:
    """The labels of one row, or why they are unusable.

    `names` are those of `head.labels`: a list of as many zeros and ones tells which of them apply.

    >>> read_labels(1.0, "c", False), read_labels("['a', 'b']", "c", True), read_labels([0, 1, 0], "c", True, "xyz")
    (('1',), ('a', 'b'), ('y',))
    """
    return _several(value, column, names) if is_multi else _one(value, column)


def _one(value: Any, column: str) -> tuple[str, ...] | Unusable:
    word = label_word(value)
    if not word or (type(value) is str and word.isspace()):
        help = f"for any number of labels in a row: `labels: {clean(column)}` under `data.columns`"
        detail = "" if value in (None, "") else f"it is {clean(value)}"
        reason = "is missing" if value in (None, "") else "is empty" if word else f"holds {_kind(value)}, not a label"
        return Unusable(column, reason, detail, help=help if isinstance(value, list) else "")
    if type(value) is str and value[0] in "[({" and (found := listed(value)) and _is_of_several(found):
        help = f"`labels: {clean(column)}` under `data.columns` reads them: any number in a row"
        return Unusable(column, "is a list, not one label", f"it is {clean(value)}", help=help)
    return (word,)


def _is_of_several(found: tuple[Any, ...]) -> bool:
    return len(found) > 1 or type(found[0]) is str


def _several(value: Any, column: str, names: Sequence[str]) -> tuple[str, ...] | Unusable:
    if value is None:
        return ()
    shown = f"it is {clean(value)}"
    if isinstance(value, str):
        found = listed(value)
        if found is None and "|" not in value and is_like_a_list(value):
            return Unusable(column, "is no list that can be read", shown, help=LISTS)
        value = [part.strip() for part in value.split("|") if part.strip()] if found is None else found
    if not isinstance(value, list | tuple):
        return Unusable(column, f"is {kind_of(value)}, not a list of labels", shown)
    words = tuple(map(label_word, value))
    if not all(map(str.strip, words)):
        wrong = next(item for item, word in zip(value, words, strict=True) if not word.strip())
        reason = f"holds {_kind(wrong)}, not a label" if wrong not in (None, "") else "holds an empty label"
        return Unusable(column, reason, shown)
    if words and all(word in HOT for word in words):
        return _hot(words, column, names, shown)
    return tuple(dict.fromkeys(words))


def _hot(words: tuple[str, ...], column: str, names: Sequence[str], shown: str) -> tuple[str, ...] | Unusable:
    """The labels of a list of zeros and ones: the names at its ones, or the zeros and ones themselves as labels.

    A list of labels never repeats one, so more than two items are flags.
    """
    are_labels = all(word in names for word in words) if names else True
    is_repeated = len(set(words)) < len(words)
    if len(words) == len(names) and (not are_labels or len(words) > 2):
        return tuple(name for name, word in zip(names, words, strict=True) if HOT[word])
    if are_labels and not is_repeated:
        return words
    help = NAMES if not names else f"write as many places as `head.labels` has names, which are {len(names)}"
    if are_labels and names:
        help = "`head.labels` names 0 and 1 themselves: name the labels otherwise, or write the names into the rows"
    return Unusable(column, f"is a list of {len(words)} zeros and ones", shown, "E0396", help)


def read_flags(row: Mapping[str, Any], columns: Sequence[str]) -> tuple[str, ...] | Unusable:
    """The labels of a row with a column for each label: those whose cell is 1 or true.

    >>> read_flags({"a": "1", "b": False, "c": 1.0}, ["a", "b", "c"])
    ('a', 'c')
    """
    found = []
    for column in columns:
        value = row.get(column)
        flag = FLAGS.get(value) if type(value) in KINDS else None
        if flag is None:
            is_missing = value in (None, "")
            help = "write 0 where a label does not apply" if is_missing else ""
            reason = "is missing" if is_missing else "is neither 0 nor 1, true nor false"
            return Unusable(column, reason, "" if is_missing else f"it is {clean(value)}", help=help)
        if flag:
            found.append(column)
    return tuple(found)


def _kind(value: Any) -> str:
    return "a number that is not whole" if isinstance(value, float) else kind_of(value)


def label_word(value: Any) -> str:
    """A label's name in plan and bundle, whole numbers without a point; empty for a value that can't be a label.

    >>> label_word(True), label_word(2.0), label_word(2.5), label_word("2.0")
    ('true', '2', '', '2.0')
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else ""
    return str(value) if isinstance(value, str | int) else ""


def order(labels: Iterable[str]) -> tuple[str, ...]:
    """Sorted labels: whole numbers by value, then words.

    >>> order(["10", "9", "a"])
    ('9', '10', 'a')
    """
    return tuple(
        sorted(
            labels,
            key=lambda label: (
                (0, int(label), "") if label.isdecimal() and label.isascii() and len(label) < 19 else (1, 0, label)
            ),
        )
    )
