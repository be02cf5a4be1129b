"""Scores of the order in which passages stand for their queries, computed by torchmetrics.

Passages of equal query text are one list; queries without a relevant passage say nothing and are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

NAMES = ("mrr", "ndcg", "map")


def names(is_multi: bool) -> tuple[str, ...]:
    """Metrics that a spec may name under `train.metric`."""
    return NAMES


def direction(name: str) -> int:
    """1: higher is better."""
    return 1


def one(name: str, record: Mapping[str, Any], outputs: Mapping[str, np.ndarray], examples: Any) -> float:
    """One metric of logits (rows, 1) against scores; `examples.references` are the queries.

    Mean reciprocal rank and mean average precision count a score of at least `relevant` as an answer; the normalised
    discounted cumulative gain (Järvelin and Kekäläinen, 2002) takes scores as they are.
    """
    import torch
    from torchmetrics import retrieval

    known: dict[str, int] = {}
    lists = torch.tensor([known.setdefault(query, len(known)) for query in examples.references])
    truth = torch.as_tensor(examples.targets).reshape(-1).float()
    # places in order for logits: torchmetrics takes a score of zero or less for one that was not found
    found = torch.unique(torch.as_tensor(outputs["logits"]).reshape(-1), return_inverse=True)[1] + 1.0
    if name == "ndcg":
        return _round(retrieval.RetrievalNormalizedDCG("skip")(found, truth - truth.min().clamp(max=0), lists))
    functions = {"mrr": retrieval.RetrievalMRR, "map": retrieval.RetrievalMAP}
    return _round(functions[name]("skip")(found, (truth >= record["relevant"]).long(), lists))


def report(record: Mapping[str, Any], outputs: Mapping[str, np.ndarray], examples: Any) -> dict[str, Any]:
    """Every metric, and how many queries there are."""
    scores = {name: one(name, record, outputs, examples) for name in NAMES}
    return {**scores, "queries": len(set(examples.references))}


def calibrate(record: Mapping[str, Any], outputs: Mapping[str, np.ndarray], examples: Any) -> dict[str, Any]:
    """Nothing is left to decide after training."""
    return {}


def _round(value: Any) -> float:
    return round(float(value), 6)
