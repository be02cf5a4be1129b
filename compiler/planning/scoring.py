"""Decides which metrics are defined on the validation rows, and which labels have no row to be scored on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .. import variants
from ..contracts.metrics import always_defined
from ..contracts.targets import LabelCounts, RowLabels, Summary
from ..diagnostics import At, Diagnostic, listed, quote
from ..facts.facts import Facts
from ..facts.spelling import spellings
from ..language.spec import Draft, HeldOut, Spec
from ..renderers import counted
from .split import held_out_count

SHOWN = 5  # the most labels in a message


def defined(spec: Spec | Draft, facts: Facts, names: Sequence[str]) -> tuple[str, ...]:
    """Those of a head's metrics that have a value on its validation rows; all where rows are not counted yet."""
    summary, metrics = _summary(spec, facts), spec.head_variant.metrics
    if summary is None or metrics.is_defined is always_defined:
        return tuple(names)
    record = _record(spec, facts)
    return tuple(name for name in names if metrics.is_defined(name, summary, record))


def _record(spec: Spec | Draft, facts: Facts) -> Mapping[str, Any]:
    """The head's record, by which answers are scored; empty where its options or rows are wrong."""
    if spec.head is None or "train" not in facts.splits:
        return {}
    head, tallies = spec.head_variant, {name: split.tally for name, split in facts.splits.items()}
    if any(found.is_error for found in head.problems(spec.head, tallies)):
        return {}
    return head.lower(spec.head, tallies["train"])


def _summary(spec: Spec | Draft, facts: Facts) -> Summary | None:
    """The summary of the validation rows; None where held-out rows are not counted."""
    if "validation" in facts.splits:
        return facts.splits["validation"].tally.summary
    counts = _held_out(spec, facts)
    return None if counts is None else Summary(sum(counts.values()), counts)  # each row has one label


def _held_out(spec: Spec | Draft, facts: Facts) -> dict[str, int] | None:
    """The number of held-out rows of each label; None where it can't be known."""
    validation, train = spec.data.validation if spec.data else None, facts.splits.get("train")
    if train is None or not isinstance(train.tally, RowLabels):
        return None
    if not isinstance(validation, HeldOut) or train.tally.is_multi or facts.patterns:
        return None
    counts = {label: held_out_count([rows], validation.fraction) for label, rows in train.tally.counts.items() if rows}
    return counts if any(counts.values()) else None  # too few rows to hold any out has a finding of its own


def undefined(spec: Draft, facts: Facts, names: Sequence[str]) -> Iterator[Diagnostic]:
    """The error for a metric that has no value on the validation rows, whatever the answers."""
    written = spec.train.metric if spec.train else None
    usable = defined(spec, facts, names)
    if written is None or written not in names or written in usable:
        return
    headline = f"`{written}` has no value on the validation rows"
    summary = _summary(spec, facts)
    assert summary is not None  # without a summary every metric counts as defined
    at, also = At(("train", "metric"), "can't pick an epoch"), (At(("data", "validation")),)
    help = f"use one that has: {listed(usable, 40)}" if usable else "give it other validation rows"
    yield Diagnostic("E0430", headline, at, also, (_told(summary),), help)


def _told(summary: Summary) -> str:
    counts, rows = summary.counts, summary.rows
    if ranges := summary.ranges.values():
        said = listed([f"{least:g}" if least == most else f"{least:g} to {most:g}" for least, most in ranges])
        return f"its {counted(rows, 'row')} {'says' if rows == 1 else 'say'} {said}"
    if not counts:
        return "its rows have the same answer, or none"
    most = max(counts, key=counts.__getitem__)
    return (
        f"of its {rows:,} row{'s' * (rows > 1)} {counts[most]:,} {'has' if counts[most] == 1 else 'have'} {quote(most)}"
    )


def unscored(spec: Draft, facts: Facts) -> Iterator[Diagnostic]:
    """Warnings for labels or types of entities without a row in validation or test, which no score covers."""
    train = facts.splits["train"].tally
    if not isinstance(train, LabelCounts) or spec.head_type not in variants.words("heads"):
        return
    are_labels = isinstance(train, RowLabels)
    if are_labels and 2 * len(train.counts) > train.rows:  # labels of one row each have a finding of their own
        return
    slips = _slips(train.counts)
    for split in ("validation", "test"):
        labels = [label for label in _absent(spec, facts, split, train) if label not in slips]
        # a split without any known label has a finding of its own; rows without entities are fine
        if labels and not (are_labels and len(labels) == len(train.counts)):
            yield _unscored(labels, split, are_labels)


def _unscored(labels: Sequence[str], split: str, are_labels: bool) -> Diagnostic:
    one, many = ("a label", "labels") if are_labels else ("a type of entities", "types of entities")
    more = f" and {len(labels) - SHOWN} more" if len(labels) > SHOWN else ""
    shown, it = f"{', '.join(map(quote, labels[:SHOWN]))}{more}", "it" if len(labels) == 1 else "them"
    have = f"{one} has" if len(labels) == 1 else f"{len(labels):,} {many} have"
    of = "means over the labels that have rows" if are_labels else "of the types that entities have"
    notes = (f"scores are {of} there: they say nothing of the others",)
    help = f"give {it} rows there, or take {it} out of the labels"
    return Diagnostic("W0430", f"{have} no {split} row: {shown}", At(("data", split)), (), notes, help)


def _slips(counts: Mapping[str, int]) -> frozenset[str]:
    """All spellings of a label but the most frequent; slips have a finding of their own."""
    each = (sorted(same, key=lambda label: -counts[label]) for same in spellings(counts))
    return frozenset(label for same in each for label in same[1:])


def _absent(spec: Draft, facts: Facts, split: str, train: LabelCounts) -> list[str]:
    """Labels of the training rows that no row of a split has; empty for held-out rows whose labels are unknown."""
    if split in facts.splits:
        return [label for label in train.counts if not facts.splits[split].tally.summary.counts.get(label)]
    counts = _held_out(spec, facts) if split == "validation" else None
    return [label for label, rows in (counts or {}).items() if not rows]
