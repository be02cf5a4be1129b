"""Checks of labels and numbers of rows: too few rows, rare, doubled or joined labels, columns without labels."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from ..contracts.options import Labelled
from ..contracts.targets import LabelCounts, RowLabels
from ..diagnostics import At, Diagnostic, Row, clean, quote
from ..facts.facts import Facts
from ..facts.spelling import spellings
from ..language.spec import Draft, HeldOut, Train
from ..planning.sampling import held_out_rows
from .odd_labels import odd

PAIR = 2  # rows of a label that a pairing objective needs
FEW = 12  # validation rows: with fewer, the standard error of an accuracy of 80% is above 12 points
RATIO = 10  # rows of the most frequent label for each row of the rarest
MEASUREMENTS = 10  # more labels that are fractions are a scale, not classes
MOST = 1 << 16  # the largest number of labels
UNLIKELY = 1_000  # more labels are believed only if each has two rows on average


def unlabelled(spec: Draft, facts: Facts) -> Iterator[Diagnostic]:
    """The error for a column of labels that holds no labels, which makes other checks of labels meaningless."""
    train = facts.splits["train"]
    if not isinstance(train.tally, LabelCounts):  # the head has no labels
        return
    if swapped := _swapped(spec, facts):
        yield swapped
        return
    counts = train.tally.counts
    if len(counts) <= max(UNLIKELY, train.rows / 2) and len(counts) <= MOST:
        return
    column, example = quote(train.tally.column), next(iter(counts))
    number = f"more than {MOST:,}" if len(counts) > MOST else f"{len(counts):,}"
    notes = (f"{train.rows:,} training rows have {number} different ones, such as {quote(example)}",)
    at = _column(spec, train.tally.role)
    help = f"name the column of the classes: `{train.tally.role}: <column>` under `data.columns`"
    yield Diagnostic("E0330", f"{column} does not hold labels: there are too many", at, (), notes, help)


def _swapped(spec: Draft, facts: Facts) -> Diagnostic | None:
    """The error where nearly every row has a label of its own but inputs repeat: columns look swapped."""
    train, tally = facts.splits["train"], facts.splits["train"].tally
    if not isinstance(tally, RowLabels) or tally.is_multi or train.sketch is None:
        return None
    inputs = [(role, names) for role, names in facts.columns.items() if role != tally.role]
    if len(inputs) != 1:
        return None
    different = len(train.sketch.first) << train.sketch.bits
    ((role, names),) = inputs
    is_few = 2 <= different <= len(tally.counts) / 4  # there are at least two classes
    if not is_few or len(tally.counts) < max(MEASUREMENTS, train.rows / 2) or len(names) > 1:
        return None
    headline = f"the columns of `{tally.role}` and `{role}` look swapped: there are too many labels"
    notes = (f"{train.rows:,} training rows have {len(tally.counts):,} different labels and {different:,} inputs",)
    right = f"write `columns: {{{role}: {clean(tally.column)}, {tally.role}: {clean(names[0])}}}` under `data`"
    return Diagnostic("E0330", headline, _column(spec, tally.role), (), notes, right)


def balance(spec: Draft, facts: Facts) -> Iterator[Diagnostic]:
    """All warnings on numbers of rows and labels."""
    train, taken = facts.splits["train"], 0
    if spec.data and isinstance(spec.data.validation, HeldOut):
        taken = held_out_rows(spec, facts)
    yield from _small_validation(facts, taken)
    if spec.train and "batch_size" not in spec.lost:
        yield from _small_training(spec.train, train.rows - taken, spec.head_variant.least_rows(facts.columns))
    if not isinstance(train.tally, LabelCounts):
        return
    yield from _doubled(train.tally.counts, train.tally.first)
    yield from odd(train.tally, (spec.head.labels if isinstance(spec.head, Labelled) else None) or ())
    if not isinstance(train.tally, RowLabels):  # it counts types of entities, not labels of rows
        return
    yield from _joined(train.tally)
    if not train.tally.is_multi and _are_measurements(train.tally.counts):
        yield _measurements(_column(spec, train.tally.role), train.tally, train.rows)
    elif not train.tally.is_multi and len(train.tally.counts) > max(MEASUREMENTS, train.rows / 2):
        yield _own(_column(spec, train.tally.role), train.tally, train.rows)
    elif spec.train and spec.head and not spec.lost & {"metric", "loss", "class_weights"}:
        yield from _imbalance(spec, spec.train, train.tally)


def _small_validation(facts: Facts, taken: int) -> Iterator[Diagnostic]:
    rows = facts.splits["validation"].rows if "validation" in facts.splits else taken
    if not 0 < rows < FEW:
        return
    at, help = At(("data", "validation")), f"give it {FEW} rows or more"
    if taken:
        fraction = math.ceil(100 * FEW / facts.splits["train"].rows) / 100
        help = f"write `validation: {{fraction: {fraction:g}}}`" if fraction <= 0.3 else "gather more rows"
    error = 100 * math.sqrt(0.8 * 0.2 / rows)
    notes = (f"an accuracy of 80% on {rows} rows is known to ±{error:.0f} points, one standard error",)
    headline = f"{rows} validation row{'s' if rows > 1 else ''} can't tell a good epoch from a lucky one"
    yield Diagnostic("W0318", headline, at, (), notes, help)


def _small_training(train: Train, rows: int, least: int) -> Iterator[Diagnostic]:
    size = train.batch_size
    if min(size, rows) < least:
        yield _lonely(size, rows, least)
    if rows >= size or rows < least:
        return
    at = At(("train", "batch_size"), f"{rows} training rows") if "batch_size" in train.model_fields_set else None
    help = f"write `batch_size: {2 ** int(math.log2(max(rows // 4, least)))}` under `train`"
    notes = ("every epoch is one step: all rows at once",)
    headline = f"there are fewer training rows than the {size} of a batch"
    yield Diagnostic("W0314", headline, at or At(("data", "train"), f"{rows} rows to learn from"), (), notes, help)


def _lonely(size: int, rows: int, least: int) -> Diagnostic:
    """The error for batches of one row, where the loss compares rows of a batch."""
    headline = "each text is told from the others of its batch, and a batch has one row"
    if rows < least:
        at, help = At(("data", "train"), f"{rows} row to learn from"), "give it more rows"
    else:
        at, help = At(("train", "batch_size")), f"write `batch_size: {min(32, rows)}`"
    notes = ("the loss is zero whatever the texts are, and nothing is learned",)
    return Diagnostic("E0570", headline, at, (), notes, help)


def partnerless(spec: Draft, facts: Facts) -> Iterator[Diagnostic]:
    """Errors for a stage that pairs rows of one label, where no batch can hold a pair."""
    tally = facts.splits["train"].tally
    if spec.train and spec.train.batch_size < PAIR:
        yield _lonely(spec.train.batch_size, facts.splits["train"].rows, PAIR)
    elif isinstance(tally, RowLabels) and tally.counts and max(tally.counts.values()) < PAIR and not tally.is_multi:
        at = At(("head", "type"), "draws rows of one label together")
        notes = ("the loss is zero whatever the texts are, and nothing is learned",)
        headline = "no label has two training rows"
        yield Diagnostic("E0466", headline, at, (), notes, "give it more rows, or remove this stage")


def _doubled(counts: Mapping[str, int], first: Mapping[str, tuple[str, int]]) -> Iterator[Diagnostic]:
    """Warnings for labels that differ only in case, spaces or the point of a whole number."""
    for labels in spellings(counts):
        often, *rest = sorted(labels, key=lambda label: (label != label.strip(), -counts[label], label))
        for label in rest:
            notes = (f"{quote(label)} has {_rows(counts[label])}, {quote(often)} has {counts[often]:,}",)
            is_number = label.replace(".", "").isdecimal()
            differ = "are one number" if is_number else "differ only in case or spaces"
            headline = f"the labels {quote(label)} and {quote(often)} {differ}"
            also = (Row(*first[often]),)
            yield Diagnostic("W0319", headline, Row(*first[label]), also, notes, f"write {quote(often)} in the data")


def _joined(tally: RowLabels) -> Iterator[Diagnostic]:
    """The warning for labels that look like several with a comma or a semicolon between them."""
    found = tally.joined()
    if found:
        notes = (f"{found.labels:,} labels are made of others, such as {quote(found.label)}",)
        headline = f"rows of {quote(tally.column)} seem to hold several labels with `{found.mark}` between them"
        help = f"put `|` between them, {quote('|'.join(found.parts))}, or write lists"
        yield Diagnostic("W0350", headline, Row(*tally.first[found.label]), (), notes, help)


def _are_measurements(counts: Mapping[str, int]) -> bool:
    fractions = 0
    for label in counts:
        try:
            number = float(label)
        except ValueError:
            return False
        fractions += not number.is_integer()
    return fractions > MEASUREMENTS


def _measurements(at: At, tally: LabelCounts, rows: int) -> Diagnostic:
    values = list(tally.counts)
    notes = (f"{len(values):,} different numbers in {rows:,} rows, such as {quote(values[0])} and {quote(values[1])}",)
    headline = f"{quote(tally.column)} looks like a measurement, and each of its values becomes a class"
    help = f"name a column of classes: `{tally.role}: <column>` under `data.columns`"
    return Diagnostic("W0317", headline, at, (), notes, help)


def _own(at: At, tally: LabelCounts, rows: int) -> Diagnostic:
    example = quote(next(iter(tally.counts)))
    notes = (f"{rows:,} training rows have {len(tally.counts):,} different labels, such as {example}",)
    headline = f"{quote(tally.column)} gives most rows a label of their own"
    help = f"name the column of the classes: `{tally.role}: <column>` under `data.columns`"
    return Diagnostic("W0530", headline, at, (), notes, help)


def _column(spec: Draft, role: str) -> At:
    """The place of a role's column in the spec, else of the training data."""
    return At(("data", "columns", role) if spec.data and role in spec.data.columns else ("data", "train"))


def _imbalance(spec: Draft, train: Train, tally: LabelCounts) -> Iterator[Diagnostic]:
    counts = tally.counts
    metric = train.metric or spec.head_variant.metrics.names({tally.role: (tally.column,)})[0]
    if len(counts) < 2 or spec.head.loss.class_weights is not None or "macro" in metric:
        return
    rare, often = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
    if counts[often] < RATIO * counts[rare]:
        return
    at = At(("train", "metric"), "counts every row alike") if train.metric else At(("data", "train"))
    notes = (f"{quote(often)} has {_rows(counts[often])}, {quote(rare)} has {_rows(counts[rare])}",)
    headline = f"the most frequent label has {counts[often] / counts[rare]:,.0f} times the rows of the rarest"
    section = "head" if spec.name else "train"  # with several heads each has a metric of its own
    help = f"write `loss: {{class_weights: balanced}}` under `head`, or `metric: f1_macro` under `{section}`"
    yield Diagnostic("W0313", headline, at, (), notes, help)


def _rows(count: int) -> str:
    return f"{count:,} row{'s' if count != 1 else ''}"
