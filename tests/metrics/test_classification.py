"""Scores of answers chosen among labels."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from graftc.compiler.execution.prepared import Examples
from graftc.compiler.metrics import classification

LABELS = ("billing", "bug", "howto")


@pytest.mark.parametrize("is_multi", [False, True])
def test_a_split_without_rows_of_a_class_is_scored_quietly(is_multi: bool) -> None:
    """A warning of a library would name a file of this machine."""
    logits = np.array([[2.0, 0, 0], [0, 2, 0], [1, 0, 0], [0, 1, 0]], np.float32)
    truth = np.array([0, 1, 1, 0])
    targets = np.eye(3, dtype=np.float32)[truth] if is_multi else truth
    record = {"labels": LABELS, "is_multi": is_multi, "thresholds": (0.5, 0.5, 0.5)}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scores = classification.report(record, {"logits": logits}, Examples(targets, np.arange(4), (), [{}] * 4))
    assert 0 < scores["roc_auc_macro"] < 1
    assert 0 < scores["average_precision_macro"] < 1
