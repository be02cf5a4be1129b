"""Scores of embeddings: the correlation of cosines with scores, or the rank of a text's partner among all others.

A correlation is None where cosines or scores are constant.

Reads the output `sentence_embedding` and the fields `texts`, the number of texts of a row, and `is_scored`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..contracts.metrics import Metrics
from ..contracts.reading import Columns
from ..contracts.targets import Summary
from ._correlation import correlation

if TYPE_CHECKING:
    import numpy as np

SCORED = ("spearman", "pearson")
FOUND = ("mrr", "recall@1", "recall@10")
TRIPLETS = "triplet_accuracy"
CHUNK = 1024  # texts ranked at once


def names(columns: Columns) -> tuple[str, ...]:
    """Metrics that a spec may name under `train.metric`."""
    found = SCORED if "score" in columns else FOUND
    return (*found, TRIPLETS) if "text_negative" in columns else found


def direction(name: str) -> int:
    """1: higher is better."""
    return 1


def is_defined(name: str, summary: Summary, record: Mapping[str, Any]) -> bool:
    """Whether a metric can have a value on rows with these counts, whatever the model answers."""
    varies = any(least < most for least, most in summary.ranges.values())
    return varies if name in SCORED else summary.rows > 0


def one(name: str, record: Mapping[str, Any], outputs: Mapping[str, np.ndarray], examples: Any) -> float | None:
    """One metric of `sentence_embedding`, (texts, width), a row's texts adjacent; None where it is undefined."""
    return _scores(record, outputs, examples)[name]


def report(record: Mapping[str, Any], outputs: Mapping[str, np.ndarray], examples: Any) -> dict[str, Any]:
    """Every metric."""
    return _scores(record, outputs, examples)


def _scores(record: Mapping[str, Any], outputs: Mapping[str, np.ndarray], examples: Any) -> dict[str, float | None]:
    import numpy as np

    count = record["texts"]
    found = np.asarray(outputs["sentence_embedding"], np.float64)
    vectors = found.reshape(-1, count, found.shape[-1])
    near = (vectors[:, 0] * vectors[:, 1]).sum(-1)
    if record["is_scored"]:
        return {name: correlation(name, near, examples.targets[::count]) for name in SCORED}
    places = _places(vectors, np.asarray(examples.targets).reshape(-1, count))
    scores = {"mrr": (1 / places).mean(), "recall@1": (places <= 1).mean(), "recall@10": (places <= 10).mean()}
    if count > 2:
        scores[TRIPLETS] = (near > (vectors[:, 0] * vectors[:, 2]).sum(-1)).mean()
    return {name: float(value) for name, value in scores.items()}


def _places(vectors: np.ndarray, texts: np.ndarray) -> np.ndarray:
    """The rank of each first text's best partner among the distinct second and third texts of the split.

    Wrong texts with an equal cosine rank first, so that identical embeddings score nothing.
    """
    import numpy as np

    known, first = np.unique(texts[:, 1:], return_index=True)
    candidates = vectors[:, 1:].reshape(-1, vectors.shape[-1])[first]
    partners: dict[int, set[int]] = {}
    for text, partner in zip(texts[:, 0], np.searchsorted(known, texts[:, 1]), strict=True):
        partners.setdefault(int(text), set()).add(int(partner))
    places = np.empty(len(vectors), np.int64)
    for at in range(0, len(vectors), CHUNK):
        cosines = vectors[at : at + CHUNK, 0] @ candidates.T
        for i, row in enumerate(cosines):
            right = list(partners[int(texts[at + i, 0])])
            places[at + i] = 1 + (np.delete(row, right) >= row[right].max()).sum()
    return places


METRICS = Metrics(names=names, direction=direction, one=one, report=report, is_defined=is_defined)
