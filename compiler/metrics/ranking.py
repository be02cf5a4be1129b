"""Scores of the order of passages for their queries, averaged over queries.

Passages with equal query text form one list; queries without a relevant passage are left out.

Reads the output `logits` and the fields `relevant` and `score_range`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from struct import pack, unpack
from typing import TYPE_CHECKING, Any

from ..contracts.metrics import Metrics
from ..contracts.reading import Columns
from ..contracts.targets import Summary
from ._means import mean

if TYPE_CHECKING:
    import numpy as np

NAMES = ("mrr", "ndcg", "map")


def names(columns: Columns) -> tuple[str, ...]:
    """Metrics that a spec may name under `train.metric`."""
    return NAMES


def direction(name: str) -> int:
    """1: higher is better."""
    return 1


def is_defined(name: str, summary: Summary, record: Mapping[str, Any]) -> bool:
    """Whether a metric can have a value on rows with these counts, which takes a relevant passage.

    For `ndcg` that is a passage with a score above zero, or above the lowest score where that is negative.
    """
    if not record:
        return True
    for ends in summary.ranges.values():
        least, best = (_aimed(end, record["score_range"]) for end in ends)
        if best > min(least, 0.0) if name == "ndcg" else best >= record["relevant"]:
            return True
    return False


def one(name: str, record: Mapping[str, Any], outputs: Mapping[str, np.ndarray], examples: Any) -> float | None:
    """One metric of logits (rows, 1) against scores; `examples.references` are the queries.

    For mean reciprocal rank and mean average precision a score of at least `relevant` makes a passage relevant. The
    normalised discounted cumulative gain (Järvelin and Kekäläinen, 2002) uses the scores as gains, shifted up where
    some are negative. None where no query has a relevant passage.
    """
    import numpy as np

    truth = np.asarray(examples.targets, np.float64).reshape(-1)
    found = np.asarray(outputs["logits"], np.float64).reshape(-1)
    gains = truth - min(truth.min(initial=0.0), 0.0) if name == "ndcg" else (truth >= record["relevant"]).astype(float)
    lists: dict[str, list[int]] = {}
    for place, query in enumerate(examples.references):
        lists.setdefault(query, []).append(place)
    return mean([SCORES[name](found[rows], gains[rows]) for rows in lists.values() if gains[rows].any()])


def report(record: Mapping[str, Any], outputs: Mapping[str, np.ndarray], examples: Any) -> dict[str, Any]:
    """Every metric, and the number of queries."""
    scores = {name: one(name, record, outputs, examples) for name in NAMES}
    return {**scores, "queries": len(set(examples.references))}


def _aimed(score: float, ends: Sequence[float] | None) -> float:
    """A score of the data as the model learns it, exact in float32: relevance may depend on the last bit."""
    value = _single(score)
    return value if ends is None else _single(_single(value - _single(ends[0])) / _single(ends[1] - ends[0]))


def _single(value: float) -> float:
    """The nearest float32, without numpy, which checking does not import."""
    return float(unpack("f", pack("f", value))[0])


def _reciprocal_rank(found: np.ndarray, gains: np.ndarray) -> float:
    """One over the rank of the first relevant passage; irrelevant passages with an equal score rank first."""
    best = found[gains > 0].max()
    return 1.0 / (1 + int((found[gains == 0] >= best).sum()))


def _average_precision(found: np.ndarray, gains: np.ndarray) -> float:
    """The mean, over relevant passages, of the precision at their score."""
    import numpy as np

    _, place, alike = np.unique(-found, return_inverse=True, return_counts=True)
    hits = np.bincount(place, gains, len(alike))
    return float((hits * np.cumsum(hits) / np.cumsum(alike)).sum() / gains.sum())


def _ndcg(found: np.ndarray, gains: np.ndarray) -> float:
    """The gain of an order over that of the best order; passages with equal scores share the mean discount."""
    import numpy as np

    discounts = 1 / np.log2(np.arange(len(found)) + 2)
    _, place, alike = np.unique(-found, return_inverse=True, return_counts=True)
    ends = np.cumsum(discounts)[np.cumsum(alike) - 1]
    shared = np.diff(ends, prepend=0.0) / alike
    return float((shared[place] * gains).sum() / (np.sort(gains)[::-1] * discounts).sum())


SCORES = {"mrr": _reciprocal_rank, "map": _average_precision, "ndcg": _ndcg}


METRICS = Metrics(names=names, direction=direction, one=one, report=report, is_defined=is_defined)
