"""Warnings for labels that are probably mistakes: blanks at the ends, words for missing values, mixed types."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from ..contracts.targets import LabelCounts, RowLabels
from ..diagnostics import Diagnostic, Row, listed, quote
from ..facts.spelling import VOID, folded


def odd(tally: LabelCounts, written: Collection[Any]) -> Iterator[Diagnostic]:
    """All warnings on how labels are written; labels that `head.labels` names are accepted."""
    labels = [label for label in tally.counts if label not in written]
    yield from _blank(labels, tally)
    yield from _void(labels, tally)
    if isinstance(tally, RowLabels):
        yield from _kinds(tally)


def _blank(labels: Collection[str], tally: LabelCounts) -> Iterator[Diagnostic]:
    """Warnings for labels with a blank at an end; if the label exists without it, W0319 reports it instead."""
    known = {folded(label) for label in tally.counts if label == label.strip()}
    found = [label for label in labels if label != label.strip() and folded(label) not in known]
    if found:
        label, one = found[0], len(found) == 1
        headline = f"the label {quote(label)} {'begins' if label[:1].isspace() else 'ends'} with a blank"
        notes = () if one else (f"so do others: {listed(map(quote, found[1:]))}",)
        help = f"write {quote(label.strip())} in the data"
        yield Diagnostic("W0392", headline, Row(*tally.first[label]), (), notes, help)


def _void(labels: Collection[str], tally: LabelCounts) -> Iterator[Diagnostic]:
    for label in labels:
        if label.strip().casefold() in VOID:
            rows = tally.counts[label]
            headline = f"the label {quote(label)} is what programs write where there is no value"
            notes = (f"{rows:,} row{'s have' if rows > 1 else ' has'} it",)
            help = "take these rows out, or name it under `head.labels` if it is a label"
            yield Diagnostic("W0393", headline, Row(*tally.first[label]), (), notes, help)


def _kinds(tally: RowLabels) -> Iterator[Diagnostic]:
    """Warnings for tables whose labels are of two types, such as 1 and true, or 0 and "0"."""
    kinds: dict[str, list[tuple[str, tuple[str, int]]]] = {}
    for (table, kind), place in tally.kinds.items():
        kinds.setdefault(table, []).append((kind, place))
    for found in kinds.values():
        if len(found) > 1:
            (one, first), (other, place) = sorted(found, key=lambda pair: pair[1][1])[:2]
            headline = f"labels of {quote(tally.column)} are of two kinds: {one} and {other}"
            help = "write all of them in one way"
            notes = ("a number and the text of it are one label; true is `true`, and not 1",)
            yield Diagnostic("W0394", headline, Row(*place), (Row(*first),), notes, help)
