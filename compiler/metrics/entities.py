"""Scores of entities found in texts, counted by seqeval: right means the same words and the same type.

A mean over types is over those that some text has or some answer gives; a score is None where there are none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..contracts.metrics import Metrics
from ..contracts.reading import Columns
from ..contracts.targets import Summary
from ._means import mean

if TYPE_CHECKING:
    from ...runtime.rows import Outputs

OUTSIDE = "O"  # the tag of what is no entity
NAMES = ("f1_micro", "f1_macro", "f1_weighted", "precision_micro", "recall_micro", "accuracy")
Tags = list[list[str]]  # of the words of each text


def names(columns: Columns) -> tuple[str, ...]:
    """Metrics that a spec may name: `f1_micro` counts all entities alike, as CoNLL's script does (Sang and De Meulder, 2003)."""
    return NAMES


def direction(name: str) -> int:
    """1 where higher is better, -1 where lower is."""
    return 1


def is_defined(name: str, summary: Summary, record: Mapping[str, Any]) -> bool:
    """Whether a metric has a value on rows that were counted like this: all but `accuracy` need an entity.

    Where there is none, no answer at all would have no score and a false alarm 0, and the worse epoch be kept.
    """
    return summary.rows > 0 if name == "accuracy" else any(summary.counts.values())


def one(name: str, record: Mapping[str, Any], outputs: Outputs, examples: Any) -> float | None:
    """One metric of logits, (tokens, tags) of each row, against the spans of the rows; None where it is undefined."""
    return _value(name, *_sequences(record, outputs, examples))


def report(record: Mapping[str, Any], outputs: Outputs, examples: Any) -> dict[str, Any]:
    """Every metric, and precision, recall, F1 and number of each type of entity."""
    truth, found = _sequences(record, outputs, examples)
    scores: dict[str, Any] = {name: _value(name, truth, found) for name in NAMES}
    return scores | {"per_entity": dict(sorted(_per_entity(truth, found)))}


def _sequences(record: Mapping[str, Any], outputs: Outputs, examples: Any) -> tuple[Tags, Tags]:
    """The true and the found tags of each text; what was cut off of it has no tags found."""
    from ...runtime.spans import placed, tags

    truth, found = [], []
    for logits, feature, owner in zip(outputs["logits"], examples.features, examples.owners, strict=True):
        spans = examples.references[owner]
        firsts, places = placed(feature)
        said = [record["labels"][i] for i in logits[firsts].argmax(-1)]
        lost = list(_lost(spans, int(places[-1, 1]) if len(places) else 0))
        truth.append(_held([*tags(places, spans), *lost]))
        found.append(_held([*_sound(said), *[OUTSIDE] * len(lost)]))
    return truth, found


def _held(given: Sequence[str]) -> list[str]:
    """Tags whose types stand in brackets: seqeval strips dashes from types, and has averages of its own among them."""
    return [tag if tag == OUTSIDE else f"{tag[:2]}<{tag[2:]}>" for tag in given]


def _lost(spans: Sequence[Any], end: int) -> Iterator[str]:
    """Tags of what the spans have beyond the end of what was read, so that none of it counts as found."""
    for start, last, label in spans:
        if last > end:
            yield f"{'I' if start < end else 'B'}-{label}"


def _sound(said: Sequence[str]) -> list[str]:
    """The tags as a decoder takes them: an inside that follows on nothing begins an entity."""
    from ...runtime.spans import entities

    found = [OUTSIDE] * len(said)
    for first, end, label in entities(said):
        found[first:end] = [f"B-{label}", *[f"I-{label}"] * (end - first - 1)]
    return found


def _value(name: str, truth: Tags, found: Tags) -> float | None:
    from seqeval import metrics

    if not any(truth):
        return None
    if name == "accuracy":
        return float(metrics.accuracy_score(truth, found))
    kind, _, average = name.partition("_")
    counts = list(_counted(truth, found).values())
    if average == "micro":
        return _score(kind, *(sum(each) for each in zip(*counts, strict=True))) if counts else None
    scores = [_score(kind, *each) for each in counts]
    if average == "macro":
        return mean(scores)
    total = sum(true for *_, true in counts)
    weighted = ((score or 0.0) * true for score, (*_, true) in zip(scores, counts, strict=True))
    return sum(weighted) / total if total else None


def _counted(truth: Tags, found: Tags) -> dict[str, tuple[int, int, int]]:
    """By type, how many entities were found rightly, were found, and are there."""
    from seqeval.scheme import IOB2, Entities

    true, said = (Entities(side, IOB2, False) for side in (truth, found))
    counts = {}
    for word in sorted(true.unique_tags | said.unique_tags):
        ours, theirs = said.filter(word), true.filter(word)
        counts[word] = len(ours & theirs), len(ours), len(theirs)
    return counts


def _score(kind: str, right: int, answered: int, true: int) -> float | None:
    """0 where entities are on one side only, None where they are on neither."""
    over = {"precision": answered, "recall": true, "f1": (answered + true) / 2}[kind]
    return right / over if over else 0.0 if answered + true else None


def _per_entity(truth: Tags, found: Tags) -> Iterator[tuple[str, dict[str, Any]]]:
    for label, counts in _counted(truth, found).items():
        if counts[2]:
            yield label[1:-1], {k: _score(k, *counts) for k in ("precision", "recall", "f1")} | {"number": counts[2]}


def answered(record: Mapping[str, Any], outputs: Outputs, examples: Any) -> dict[str, tuple[int, int]]:
    """How many entities of each type are found and how many there are."""
    truth, found = (
        Counter(tag[3:-1] for row in rows for tag in row if tag[:1] == "B")
        for rows in _sequences(record, outputs, examples)
    )
    return {label: (found[label], truth[label]) for label in sorted({*truth, *found})}


METRICS = Metrics(names=names, direction=direction, one=one, report=report, is_defined=is_defined, answered=answered)
