"""Decodes logits over labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .errors import BundleError
from .rows import Outputs, Rows
from .shape import NUMBER

HEAD = {"labels": [str], "is_multi": bool, "?thresholds": [NUMBER]}  # the shape of the manifest's `head`


@dataclass(frozen=True)
class Classification:
    """A label with its probability."""

    label: str
    score: float


def decode(outputs: Outputs, head: Mapping[str, Any], rows: Rows, top_k: int | None = None) -> list[Any]:
    """An answer for each row of `logits` (rows, labels).

    One label: the likeliest, or with `top_k` a tuple of the likeliest. Several labels: a tuple of those at or above
    their thresholds, likeliest first; with `top_k`, that many whatever their thresholds.
    """
    if "logits" not in outputs:
        raise BundleError("E0503", "the graph gives no `logits`")
    logits = np.asarray(outputs["logits"], np.float64)
    widths = {len(head["labels"]), *([len(head.get("thresholds", ()))] if head["is_multi"] else [])}
    if widths != {logits.shape[-1]}:
        raise BundleError("E0503", "the graph answers for other labels than the manifest names")
    if head["is_multi"]:
        scores = 1 / (1 + np.exp(-np.clip(logits, -700, 700)))
        return [_several(row, head, top_k) for row in scores]
    shifted = np.exp(logits - logits.max(-1, keepdims=True))
    scores = shifted / shifted.sum(-1, keepdims=True)
    if top_k is None:
        return [_answer(row, int(row.argmax()), head) for row in scores]
    return [tuple(_answer(row, int(i), head) for i in np.argsort(-row, kind="stable")[:top_k]) for row in scores]


def _several(row: np.ndarray, head: Mapping[str, Any], top_k: int | None) -> tuple[Classification, ...]:
    ranked = [int(i) for i in np.argsort(-row, kind="stable")]
    kept = ranked[:top_k] if top_k is not None else [i for i in ranked if row[i] >= head["thresholds"][i]]
    return tuple(_answer(row, i, head) for i in kept)


def _answer(row: np.ndarray, index: int, head: Mapping[str, Any]) -> Classification:
    return Classification(head["labels"][index], float(row[index]))
