"""Warnings for rows that repeat: across splits, within training, or with other labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..contracts.targets import RowLabels
from ..diagnostics import At, Diagnostic, Row, clean, quote
from ..facts.facts import Facts, SplitFacts
from ..facts.inputs_seen import Found

SHOWN = 3  # the most pairs of rows in a message
NAMED = 5  # the most rows to take out in a message
HELD_OUT = "of rows that are held out, one copy would test the other"
REPEATED = 0.01  # share of training rows: fewer copies do no harm
CONTRADICTED = 0.005  # share of training rows: fewer are ordinary noise


def repetition(facts: Facts) -> Iterator[Diagnostic]:
    """All warnings on repeated rows, from hashes of their inputs."""
    train = facts.splits["train"]
    if train.sketch is None:  # rows were not read, as with a lock
        return
    for name, split in facts.splits.items():
        if split is not train and split.sketch and (found := split.sketch.shared(train.sketch)).rows:
            yield _leak(name, split, train, found)
    found = train.sketch.repeated()
    if found.rows > REPEATED * train.rows:
        yield _repeated(train, found)
    found = train.sketch.contradicted()
    if isinstance(train.tally, RowLabels) and found.rows > CONTRADICTED * train.rows:
        yield _contradicted(train, found)


def _leak(name: str, split: SplitFacts, train: SplitFacts, found: Found) -> Diagnostic:
    pairs = [(split.place(here), train.place(there)) for there, here in found.pairs]
    stand = "rows stand" if found.rows > 1 else "row stands"
    purpose = "are to show what was learnt" if name == "test" else "choose the best epoch"
    notes = (
        f"{_percent(found.rows / split.rows)} of the {name} rows, which {purpose}, are no test of it",
        _shown(pairs),
    )
    also = (At(("data", "train"), "the same inputs"), *pairs[0]) if pairs else ()
    headline = f"{_about(found)} {stand} in both the training and the {name} data"
    return Diagnostic(
        "W0310", headline, At(("data", name)), also, notes, _take_out(found, [there for _, there in pairs])
    )


def _repeated(train: SplitFacts, found: Found) -> Diagnostic:
    pairs = [(train.place(later), train.place(first)) for first, later in found.pairs]
    notes = (
        f"{_percent(found.rows / train.rows)} of the training rows; {HELD_OUT}",
        _shown(pairs),
    )
    headline = f"{_about(found)} training {'rows repeat' if found.rows > 1 else 'row repeats'} another, label and all"
    at, also = At(("data", "train")), pairs[0]
    # there is one pair for each input, which may occur more than twice
    copies = [later for later, _ in pairs] if len(pairs) == found.rows else []
    return Diagnostic("W0311", headline, at, also, notes, _take_out(found, copies))


def _contradicted(train: SplitFacts, found: Found) -> Diagnostic:
    pairs = [(train.place(later), train.place(first)) for first, later in found.pairs]
    notes = (f"{_percent(found.rows / train.rows)} of the training rows; nothing can learn both answers", _shown(pairs))
    headline = f"{_about(found)} training rows have inputs that stand there with different labels"
    help = "decide for one label each, or give rows any number of labels with the role `labels`"
    return Diagnostic("W0312", headline, At(("data", "train")), pairs[0], notes, help)


def _about(found: Found) -> str:
    return f"{found.rows:,}" if found.is_exact else f"about {found.rows:,}"


def _percent(share: float) -> str:
    percent = 100 * min(share, 1)
    return f"{percent:.0f}%" if percent >= 10 else f"{percent:.2g}%"


def _shown(pairs: Sequence[tuple[Row, Row]]) -> str:
    more = ", …" if len(pairs) > SHOWN else ""
    files = {(clean(row.file), clean(other.file)) for row, other in pairs[:SHOWN]}
    if len(files) > 1 or not all(row.number for row in pairs[0]):
        return ", ".join(f"{_name(a)} is {_name(b)}" for a, b in pairs[:SHOWN]) + more
    (here, there), listed = files.pop(), ", ".join(f"{a.number} is {b.number}" for a, b in pairs[:SHOWN]) + more
    return f"rows of {here}: {listed}" if here == there else f"rows of {here}, then of {there}: {listed}"


def _name(row: Row) -> str:
    """A row of a table as file and number; a row that is a file by the end of its path."""
    return f"{clean(row.file)}:{row.number}" if row.number else _tail(row.file)


def _tail(file: str) -> str:
    return quote("/".join(file.split("/")[-2:]))


def _take_out(found: Found, rows: Sequence[Row]) -> str:
    if found.is_exact and 0 < len(rows) <= NAMED and rows[0].number and len({row.file for row in rows}) == 1:
        numbers = ", ".join(str(row.number) for row in rows)
        return f"take row{'s' if len(rows) > 1 else ''} {numbers} out of {clean(rows[0].file)}"
    if found.is_exact and 0 < len(rows) <= NAMED and not any(row.number for row in rows):
        return f"take {', '.join(_tail(row.file) for row in rows)} out of the training data"
    return "take the copies out of the training data"
