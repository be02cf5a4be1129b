"""Scores of entities found in texts, counted by seqeval: a match has the same words and the same type.

A macro mean is over the types that some text has or some answer gives; a score is None where there are none.

Reads the output `logits` and the field `labels`, which are tags.
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

OUTSIDE = "O"  # the tag of words outside of entities
NAMES = ("f1_micro", "f1_macro", "f1_weighted", "precision_micro", "recall_micro", "accuracy")
Tags = list[list[str]]  # the tags of each text's words


def names(columns: Columns) -> tuple[str, ...]:
    """Metrics that a spec may name.

    `f1_micro` counts all entities alike, as the CoNLL script does (Sang and De Meulder, 2003).
    """
    return NAMES


def direction(name: str) -> int:
    """1 where higher is better, -1 where lower is."""
    return 1


def is_defined(name: str, summary: Summary, record: Mapping[str, Any]) -> bool:
    """Whether a metric has a value on rows with these counts: every metric but `accuracy` needs an entity.

    Without any true entity, an epoch without answers would have no score and one with a false alarm 0, so that the
    worse epoch would be kept.
    """
    return summary.rows > 0 if name == "accuracy" else any(summary.counts.values())


def one(name: str, record: Mapping[str, Any], outputs: Outputs, examples: Any) -> float | None:
    """One metric of logits, (tokens, tags) for each row, against the rows' spans; None where it is undefined."""
    return _value(name, *_sequences(record, outputs, examples))


def report(record: Mapping[str, Any], outputs: Outputs, examples: Any) -> dict[str, Any]:
    """Every metric, and precision, recall, F1 and number for each type of entity."""
    truth, found = _sequences(record, outputs, examples)
    scores: dict[str, Any] = {name: _value(name, truth, found) for name in NAMES}
    return scores | {"per_entity": dict(sorted(_per_entity(truth, found)))}


def _sequences(record: Mapping[str, Any], outputs: Outputs, examples: Any) -> tuple[Tags, Tags]:
    """The true and the found tags of each text; words beyond the truncation have no found tags."""
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
    """Tags with their types in brackets: seqeval strips dashes from types and reserves names for its averages."""
    return [tag if tag == OUTSIDE else f"{tag[:2]}<{tag[2:]}>" for tag in given]


def _lost(spans: Sequence[Any], end: int) -> Iterator[str]:
    """Tags of the true entities beyond the end of the truncated text, so that none of them counts as found."""
    for start, last, label in spans:
        if last > end:
            yield f"{'I' if start < end else 'B'}-{label}"


def _sound(said: Sequence[str]) -> list[str]:
    """The tags as a decoder reads them: an inside tag without a beginning starts an entity."""
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
    """For each type, the number of entities that are found rightly, found, and true."""
    from seqeval.scheme import IOB2, Entities

    true, said = (Entities(side, IOB2, False) for side in (truth, found))
    counts = {}
    for word in sorted(true.unique_tags | said.unique_tags):
        ours, theirs = said.filter(word), true.filter(word)
        counts[word] = len(ours & theirs), len(ours), len(theirs)
    return counts


def _score(kind: str, right: int, answered: int, true: int) -> float | None:
    """0 where only one side has entities, None where neither has."""
    over = {"precision": answered, "recall": true, "f1": (answered + true) / 2}[kind]
    return right / over if over else 0.0 if answered + true else None


def _per_entity(truth: Tags, found: Tags) -> Iterator[tuple[str, dict[str, Any]]]:
    for label, counts in _counted(truth, found).items():
        if counts[2]:
            yield label[1:-1], {k: _score(k, *counts) for k in ("precision", "recall", "f1")} | {"number": counts[2]}


def answered(record: Mapping[str, Any], outputs: Outputs, examples: Any) -> dict[str, tuple[int, int]]:
    """For each type, the number of entities found and the number there are."""
    truth, found = (
        Counter(tag[3:-1] for row in rows for tag in row if tag[:1] == "B")
        for rows in _sequences(record, outputs, examples)
    )
    return {label: (found[label], truth[label]) for label in sorted({*truth, *found})}


METRICS = Metrics(names=names, direction=direction, one=one, report=report, is_defined=is_defined, answered=answered)
