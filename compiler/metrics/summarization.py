"""Scores of summaries: ROUGE of rouge-score, F-measures with stemming, beside loss, perplexity and accuracy of words.

Of several references the best counts for each row. Words are runs of Latin letters and digits: other scripts score 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any

from ._texts import metrics

KINDS = {"rouge_1": "rouge1", "rouge_2": "rouge2", "rouge_l": "rougeL"}


def scores(texts: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, float]:
    """Means over rows, from 0 to 1."""
    rows = [_row(text, tuple(own)) for text, own in zip(texts, references, strict=True)]
    return {name: sum(row[i] for row in rows) / len(rows) for i, name in enumerate(KINDS)}


@lru_cache(maxsize=1 << 16)  # a standard error asks for the same rows again and again
def _row(text: str, references: tuple[str, ...]) -> tuple[float, ...]:
    found = _scorer().score_multi(references, text)
    return tuple(float(found[kind].fmeasure) for kind in KINDS.values())


@cache
def _scorer() -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer([*KINDS.values()], use_stemmer=True)


METRICS = metrics(tuple(KINDS), scores)
