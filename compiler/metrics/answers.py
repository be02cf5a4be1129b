"""Exact match and F1 of answers found in contexts, by the rules of SQuAD's official script, version 2.0.

https://worksheets.codalab.org/rest/bundles/0x6b567e1cf2e041ec80d7098f031c5c9e/contents/blob/ (Rajpurkar et al., 2018):
case, punctuation, articles and white space are ignored; F1 is over the words that two answers share, and the best of
several true answers counts. Where a question has no answer, an empty answer scores 1 and any other scores 0.

Reads what the decoder `runtime/heads/question_answering.py` reads.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import accumulate
from statistics import fmean
from typing import TYPE_CHECKING, Any

from ..contracts.metrics import Metrics
from ..contracts.reading import Columns

if TYPE_CHECKING:
    from ...runtime.rows import Outputs, Rows

NAMES = ("f1", "exact_match")
MARKS = str.maketrans("", "", string.punctuation)


def names(columns: Columns) -> tuple[str, ...]:
    """Metrics that a spec may name."""
    return NAMES


def direction(name: str) -> int:
    """1: higher is better."""
    return 1


def one(name: str, record: Mapping[str, Any], outputs: Outputs, examples: Any) -> float:
    """One metric of the token scores of all windows against the true answers."""
    return _scores(record, outputs, examples)[name]


def report(record: Mapping[str, Any], outputs: Outputs, examples: Any) -> dict[str, Any]:
    """Every metric, and both metrics for the rows with an answer and for those without."""
    given, true = _given(record, outputs, examples), _true(examples)
    found: dict[str, Any] = _mean(given, true)
    for name, chosen in (
        ("answerable", [i for i, t in enumerate(true) if t]),
        ("unanswerable", [i for i, t in enumerate(true) if not t]),
    ):
        if 0 < len(chosen) < len(true):
            found[name] = {**_mean([given[i] for i in chosen], [true[i] for i in chosen]), "number": len(chosen)}
    return found


def calibrate(record: Mapping[str, Any], outputs: Outputs, examples: Any) -> dict[str, Any]:
    """The threshold chosen on validation rows: the score difference from which on no answer gives the best F1."""
    from ...runtime.heads.question_answering import candidates

    true = _true(examples)
    if record["null_threshold"] is None or all(true) or not any(true):
        return {}
    rows, cases = _rows(examples), []
    for i, answers in enumerate(true):
        found, none = candidates(outputs, record, rows, i)
        if found:
            score, start, end = found[0]
            text = examples.references[i]["context"][start:end]
            cases.append((none - score, f1(text, answers) - f1("", answers)))
    return {"null_threshold": _threshold(cases)} if cases else {}


def _threshold(cases: Sequence[tuple[float, float]]) -> float:
    """The threshold between two differences; `cases` are (difference, F1 gained by answering with the span)."""
    ranked = sorted(cases)
    gains = [0.0, *accumulate(gain for _, gain in ranked)]
    best = gains.index(max(gains))
    lower = ranked[best - 1][0] if best else ranked[0][0] - 2
    upper = ranked[best][0] if best < len(ranked) else lower + 2
    return round(float((lower + upper) / 2), 6)


def _rows(examples: Any) -> Rows:
    from ...runtime.rows import Rows

    return Rows([("", reference["context"]) for reference in examples.references], examples.features, examples.owners)


def _scores(record: Mapping[str, Any], outputs: Outputs, examples: Any) -> dict[str, float]:
    return _mean(_given(record, outputs, examples), _true(examples))


def _given(record: Mapping[str, Any], outputs: Outputs, examples: Any) -> list[str]:
    from ...runtime.heads.question_answering import decode

    return [answer.answer for answer in decode(outputs, record, _rows(examples))]


def _true(examples: Any) -> list[list[str]]:
    return [[text for _, text in reference["answers"]] for reference in examples.references]


def _mean(given: Sequence[str], true: Sequence[Sequence[str]]) -> dict[str, float]:
    functions = {"f1": f1, "exact_match": exact}
    return {
        name: fmean(function(*pair) for pair in zip(given, true, strict=True)) for name, function in functions.items()
    }


def normal(text: str) -> str:
    """An answer in the form in which answers are compared.

    >>> normal("The  Eiffel-Tower, a tower")
    'eiffeltower tower'
    """
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text.lower().translate(MARKS)).split())


def exact(given: str, true: Sequence[str]) -> float:
    """1 for an answer that equals a true one, else 0."""
    return float(any(normal(given) == normal(text) for text in _sound(true)))


def f1(given: str, true: Sequence[str]) -> float:
    """The F1 of an answer's words against the best matching true answer."""
    return max(_overlap(normal(given).split(), normal(text).split()) for text in _sound(true))


def _sound(true: Sequence[str]) -> Sequence[str]:
    """The true answers that have a word besides articles; one empty answer if there is none."""
    return [text for text in true if normal(text)] or [""]


def _overlap(given: list[str], true: list[str]) -> float:
    if not given or not true:
        return float(given == true)
    same = sum((Counter(given) & Counter(true)).values())
    return 2 * same / (len(given) + len(true))


METRICS = Metrics(names=names, direction=direction, one=one, report=report, calibrate=calibrate)
