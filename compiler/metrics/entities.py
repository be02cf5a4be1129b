"""Scores of entities found in texts, computed by seqeval: right means the same words and the same type."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ...runtime.rows import Outputs

OUTSIDE = "O"  # the tag of what is no entity
NAMES = ("f1_micro", "f1_macro", "f1_weighted", "precision_micro", "recall_micro", "accuracy")
Tags = list[list[str]]  # of the words of each text


def names(is_multi: bool) -> tuple[str, ...]:
    """Metrics that a spec may name: `f1_micro` counts all entities alike, as CoNLL's script does (Sang and De Meulder, 2003)."""
    return NAMES


def direction(name: str) -> int:
    """1 where higher is better, -1 where lower is."""
    return 1


def one(name: str, record: Mapping[str, Any], outputs: Outputs, examples: Any) -> float:
    """One metric of logits, (tokens, tags) of each row, against the spans of the rows."""
    return _value(name, *_sequences(record, outputs, examples))


def report(record: Mapping[str, Any], outputs: Outputs, examples: Any) -> dict[str, Any]:
    """Every metric, and precision, recall, F1 and number of each type of entity."""
    truth, found = _sequences(record, outputs, examples)
    scores: dict[str, Any] = {name: _value(name, truth, found) for name in NAMES}
    return scores | {"per_entity": dict(sorted(_per_entity(truth, found)))}


def calibrate(record: Mapping[str, Any], outputs: Outputs, examples: Any) -> dict[str, Any]:
    """What validation decides after training: nothing."""
    return {}


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


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps numpy quiet of types without entities, which seqeval divides by."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _value(name: str, truth: Tags, found: Tags) -> float:
    from seqeval import metrics
    from seqeval.scheme import IOB2

    if name == "accuracy":
        return round(float(metrics.accuracy_score(truth, found)), 6)
    kind, _, average = name.partition("_")
    function = {"f1": metrics.f1_score, "precision": metrics.precision_score, "recall": metrics.recall_score}[kind]
    if not any(tag != OUTSIDE for row in truth for tag in row):  # seqeval can't average over no types
        return 0.0
    with _quiet():
        return round(float(function(truth, found, average=average, mode="strict", scheme=IOB2, zero_division=0)), 6)


def _per_entity(truth: Tags, found: Tags) -> Iterator[tuple[str, dict[str, float]]]:
    from seqeval import metrics
    from seqeval.scheme import IOB2

    if not any(tag != OUTSIDE for row in truth for tag in row):
        return
    with _quiet():
        scores = metrics.classification_report(
            truth, found, output_dict=True, mode="strict", scheme=IOB2, zero_division=0
        )
    for label in {tag[2:] for row in truth for tag in row if tag != OUTSIDE}:
        score = scores[label]
        values = {"precision": score["precision"], "recall": score["recall"], "f1": score["f1-score"]}
        yield label[1:-1], {k: round(float(v), 6) for k, v in values.items()} | {"number": int(score["support"])}


def answered(record: Mapping[str, Any], outputs: Outputs, examples: Any) -> dict[str, tuple[int, int]]:
    """How many entities of each type are found and how many there are."""
    truth, found = (
        Counter(tag[3:-1] for row in rows for tag in row if tag[:1] == "B")
        for rows in _sequences(record, outputs, examples)
    )
    return {label: (found[label], truth[label]) for label in sorted({*truth, *found})}
