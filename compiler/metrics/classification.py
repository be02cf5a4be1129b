"""Scores of answers chosen among labels.

A macro score is the mean over the labels for which it is defined, and None where it is defined for none. Precision,
recall and F1 are defined for a label that some row has or some answer gives (0 where the other is missing, as in
scikit-learn), ROC AUC for a label that some rows have and others lack, average precision for a label that some row has.

Reads the output `logits` and the fields `labels` and `is_multi`; of several labels also `thresholds`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ..contracts.metrics import Metrics
from ..contracts.reading import Columns
from ..contracts.targets import Summary
from ._means import mean

if TYPE_CHECKING:
    import numpy as np

SINGLE = (
    "accuracy",
    "f1_macro",
    "f1_micro",
    "f1_weighted",
    "precision_macro",
    "recall_macro",
    "roc_auc_macro",
    "average_precision_macro",
    "ece",
)
MULTI = (
    "f1_macro",
    "f1_micro",
    "f1_weighted",
    "precision_macro",
    "recall_macro",
    "roc_auc_macro",
    "average_precision_macro",
    "subset_accuracy",
)
LOWER_IS_BETTER = frozenset({"ece"})
ECE_BINS = 15
CONFUSED = 100  # labels at most for which a confusion matrix is kept


def names(columns: Columns) -> tuple[str, ...]:
    """Metrics that a spec may name under `train.metric`."""
    return MULTI if "labels" in columns else SINGLE


def direction(name: str) -> int:
    """1 where higher is better, -1 where lower is."""
    return -1 if name in LOWER_IS_BETTER else 1


def is_defined(name: str, summary: Summary, record: Mapping[str, Any]) -> bool:
    """Whether a metric can have a value on rows with these counts, whatever the model answers."""
    counts = [count for count in summary.counts.values() if count]
    if name.startswith("roc_auc"):
        return any(count < summary.rows for count in counts)
    return summary.rows > 0 if name in WHOLE else bool(counts)


def one(name: str, record: Mapping[str, Any], outputs: Mapping[str, np.ndarray], examples: Any) -> float | None:
    """One metric of logits (rows, labels) against targets; None where it is undefined."""
    return _value(name, record, outputs["logits"], examples.targets)


def report(record: Mapping[str, Any], outputs: Mapping[str, np.ndarray], examples: Any) -> dict[str, Any]:
    """Every metric, F1 per class, and the confusion matrix (rows true, columns answered) up to 100 labels."""
    logits, truth = outputs["logits"], examples.targets
    found: dict[str, Any] = {
        name: _value(name, record, logits, truth) for name in (MULTI if record["is_multi"] else SINGLE)
    }
    each = [None if score != score else float(score) for score in _per_label("f1", *_counted(record, logits, truth))]
    found["f1_per_class"] = dict(zip(record["labels"], each, strict=True))
    if not record["is_multi"] and len(record["labels"]) <= CONFUSED:
        found["confusion_matrix"] = _confusion(logits.argmax(-1), truth, len(record["labels"]))
    return found


def _value(name: str, record: Mapping[str, Any], logits: np.ndarray, truth: np.ndarray) -> float | None:
    if not len(logits):
        return None
    if name in WHOLE:
        return float(WHOLE[name](record, logits, truth))
    kind, _, average = name.rpartition("_")
    if kind in RANKED:
        shares, hot = _shares(record, logits), _hot(record, truth)
        return mean([RANKED[kind](shares[:, i], hot[:, i]) for i in range(hot.shape[1])])
    right, answered, true = _counted(record, logits, truth)
    if average == "micro":
        return float(2 * right.sum() / (answered + true).sum()) if (answered + true).any() else None
    scores = _per_label(kind, right, answered, true)
    if average == "weighted":
        return float(scores[true > 0] @ true[true > 0] / true.sum()) if true.any() else None
    return mean(scores)


def _counted(
    record: Mapping[str, Any], logits: np.ndarray, truth: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each label, the rows that rightly got it, that got it, and that have it: three arrays (labels,)."""
    chosen, hot = _chosen(record, logits), _hot(record, truth)
    return (chosen & hot).sum(0), chosen.sum(0), hot.sum(0)


def _per_label(kind: str, right: np.ndarray, answered: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Precision, recall or F1 per label, (labels,); NaN where neither a row nor an answer has the label."""
    import numpy as np

    over = {"precision": answered, "recall": true, "f1": (answered + true) / 2}[kind]
    return np.where(answered + true > 0, right / np.maximum(over, 0.5), np.nan)


def _hot(record: Mapping[str, Any], truth: np.ndarray) -> np.ndarray:
    """The labels of each row as bool (rows, labels)."""
    import numpy as np

    return truth > 0.5 if record["is_multi"] else truth[:, None] == np.arange(len(record["labels"]))


def _chosen(record: Mapping[str, Any], logits: np.ndarray) -> np.ndarray:
    """The answered labels of each row as bool (rows, labels), by the arithmetic of a bundle's answers."""
    import numpy as np

    if record["is_multi"]:
        chosen: np.ndarray = _shares(record, logits) >= np.asarray(record["thresholds"], np.float64)
        return chosen
    return _hot(record, logits.argmax(-1))


def _shares(record: Mapping[str, Any], logits: np.ndarray) -> np.ndarray:
    """The probability of each label, float64 (rows, labels); softmax for one label per row, else sigmoid."""
    import numpy as np

    exact = np.asarray(logits, np.float64)
    if record["is_multi"]:
        return 1 / (1 + np.exp(-np.clip(exact, -700, 700)))
    raised = np.exp(exact - exact.max(-1, keepdims=True))
    return np.asarray(raised / raised.sum(-1, keepdims=True))


def _confusion(answered: np.ndarray, truth: np.ndarray, count: int) -> list[list[int]]:
    import numpy as np

    found: list[list[int]] = np.bincount(truth * count + answered, minlength=count**2).reshape(count, count).tolist()
    return found


def _accuracy(record: Mapping[str, Any], logits: np.ndarray, truth: np.ndarray) -> float:
    return float((logits.argmax(-1) == truth).mean())


def _subset(record: Mapping[str, Any], logits: np.ndarray, truth: np.ndarray) -> float:
    return float((_chosen(record, logits) == _hot(record, truth)).all(1).mean())


def _ece(record: Mapping[str, Any], logits: np.ndarray, truth: np.ndarray) -> float:
    """The expected calibration error of the likeliest label, over equal bins of its certainty (Guo et al., 2017)."""
    import numpy as np

    certain = _shares(record, logits).max(-1)
    bins = np.clip(np.ceil(certain * ECE_BINS).astype(int) - 1, 0, ECE_BINS - 1)
    surplus = certain - (logits.argmax(-1) == truth)
    return float(np.abs(np.bincount(bins, surplus, ECE_BINS)).sum() / len(truth))


def _roc_auc(scores: np.ndarray, has: np.ndarray) -> float | None:
    """The share of pairs (a row with the label, a row without) in the right order; a tie counts half."""
    import numpy as np

    ours, others = int(has.sum()), int((~has).sum())
    if not ours or not others:
        return None
    _, place, alike = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(alike) - (alike - 1) / 2)[place]
    return float((ranks[has].sum() - ours * (ours + 1) / 2) / (ours * others))


def _average_precision(scores: np.ndarray, has: np.ndarray) -> float | None:
    """The mean, over rows with the label, of the precision at their score."""
    import numpy as np

    if not has.any():
        return None
    _, place, alike = np.unique(-scores, return_inverse=True, return_counts=True)
    hits = np.bincount(place, has, len(alike))
    return float((hits * np.cumsum(hits) / np.cumsum(alike)).sum() / has.sum())


Whole = Callable[[Mapping[str, Any], "np.ndarray", "np.ndarray"], float]
WHOLE: Mapping[str, Whole] = {"accuracy": _accuracy, "subset_accuracy": _subset, "ece": _ece}
RANKED = {"roc_auc": _roc_auc, "average_precision": _average_precision}


def calibrate(record: Mapping[str, Any], outputs: Mapping[str, np.ndarray], examples: Any) -> dict[str, Any]:
    """The thresholds chosen on validation rows: for several labels per row, the one with the best F1 for each label."""
    if not record["is_multi"]:
        return {}
    scores = _shares(record, outputs["logits"])
    return {"thresholds": tuple(_threshold(scores[:, i], examples.targets[:, i]) for i in range(scores.shape[1]))}


def _threshold(scores: np.ndarray, truth: np.ndarray) -> float:
    """The threshold with the best F1: half-way between the scores at the best cut of the rows sorted by score."""
    import numpy as np

    if truth.sum() == 0:
        return 0.5
    ranked = np.argsort(-scores, kind="stable")
    hits = np.cumsum(truth[ranked])
    f1 = 2 * hits / (np.arange(1, len(scores) + 1) + truth.sum())
    # a cut is possible only where the score changes
    cuttable = np.append(scores[ranked][:-1] > scores[ranked][1:], True)
    best = int(np.argmax(np.where(cuttable, f1, -1)))
    below = scores[ranked][best + 1] if best + 1 < len(scores) else 0.0
    middle = float((scores[ranked][best] + below) / 2)
    return middle if below < middle else float(scores[ranked][best])


def answered(record: Mapping[str, Any], outputs: Mapping[str, np.ndarray], examples: Any) -> dict[str, tuple[int, int]]:
    """For each label, how often it is answered and how often it is true; empty where rows have several labels."""
    import numpy as np

    if record["is_multi"]:
        return {}
    count = len(record["labels"])
    given, true = (np.bincount(v, minlength=count) for v in (outputs["logits"].argmax(-1), examples.targets))
    return {label: (int(given[i]), int(true[i])) for i, label in enumerate(record["labels"])}


METRICS = Metrics(
    names=names,
    direction=direction,
    one=one,
    report=report,
    calibrate=calibrate,
    is_defined=is_defined,
    answered=answered,
)
