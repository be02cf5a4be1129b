"""Scores of answers chosen among labels, computed by torchmetrics."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

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


def names(is_multi: bool) -> tuple[str, ...]:
    """Metrics that a spec may name under `train.metric`."""
    return MULTI if is_multi else SINGLE


def direction(name: str) -> int:
    """1 where higher is better, -1 where lower is."""
    return -1 if name in LOWER_IS_BETTER else 1


def one(name: str, record: Mapping[str, Any], outputs: Mapping[str, np.ndarray], examples: Any) -> float:
    """One metric of logits (rows, labels) against targets."""
    import numpy as np
    import torch

    return _value(
        name,
        record,
        torch.from_numpy(outputs["logits"]).float(),
        torch.from_numpy(np.ascontiguousarray(examples.targets)),
    )


def report(record: Mapping[str, Any], outputs: Mapping[str, np.ndarray], examples: Any) -> dict[str, Any]:
    """Every metric, F1 per class, and the confusion matrix (rows true, columns answered) up to 100 labels."""
    import numpy as np
    import torch

    logits, truth = (
        torch.from_numpy(outputs["logits"]).float(),
        torch.from_numpy(np.ascontiguousarray(examples.targets)),
    )
    found: dict[str, Any] = {name: _value(name, record, logits, truth) for name in names(record["is_multi"])}
    found["f1_per_class"] = dict(zip(record["labels"], _per_class(record, logits, truth), strict=True))
    if not record["is_multi"] and len(record["labels"]) <= 100:
        from torchmetrics.functional.classification import multiclass_confusion_matrix

        found["confusion_matrix"] = multiclass_confusion_matrix(logits, truth, len(record["labels"])).tolist()
    return found


def _value(name: str, record: Mapping[str, Any], logits: Any, truth: Any) -> float:
    from torchmetrics.functional import classification as tm

    count = len(record["labels"])
    kind, _, average = name.rpartition("_")
    if record["is_multi"]:
        chosen = _chosen(record, logits)
        if name == "subset_accuracy":
            return float((chosen == truth.int()).all(1).float().mean())
        rank = {"roc_auc": tm.multilabel_auroc, "average_precision": tm.multilabel_average_precision}
        if kind in rank:
            with _classes_without_rows():
                return _round(rank[kind](logits.sigmoid(), truth.int(), count, average=average))
        functions = {"f1": tm.multilabel_f1_score, "precision": tm.multilabel_precision, "recall": tm.multilabel_recall}
        return _round(functions[kind](chosen, truth.int(), count, average=average))
    if name == "accuracy":
        return _round(tm.multiclass_accuracy(logits, truth, count, average="micro"))
    if name == "ece":
        return _round(tm.multiclass_calibration_error(logits.softmax(-1), truth, count, n_bins=ECE_BINS))
    single = {
        "f1": tm.multiclass_f1_score, "precision": tm.multiclass_precision, "recall": tm.multiclass_recall,
        "roc_auc": tm.multiclass_auroc, "average_precision": tm.multiclass_average_precision,
    }  # fmt: skip
    scores = logits.softmax(-1) if kind in ("roc_auc", "average_precision") else logits
    with _classes_without_rows():
        return _round(single[kind](scores, truth, count, average=average))


@contextmanager
def _classes_without_rows() -> Iterator[None]:
    """Keeps torchmetrics quiet of classes that a split has no rows of: the mean is over the others, as is meant."""
    with warnings.catch_warnings():
        for said in ("No (positive|negative) samples", "Average precision score for one or more classes was `nan`"):
            warnings.filterwarnings("ignore", said, UserWarning)
        yield


def _chosen(record: Mapping[str, Any], logits: Any) -> Any:
    import torch

    return (logits.sigmoid() >= torch.tensor(record["thresholds"])).int()


def _per_class(record: Mapping[str, Any], logits: Any, truth: Any) -> list[float]:
    from torchmetrics.functional import classification as tm

    if record["is_multi"]:
        scores = tm.multilabel_f1_score(_chosen(record, logits), truth.int(), len(record["labels"]), average="none")
    else:
        scores = tm.multiclass_f1_score(logits, truth, len(record["labels"]), average="none")
    return [_round(score) for score in scores]


def _round(value: Any) -> float:
    number = float(value)
    return round(number, 6) if number == number else 0.0


def calibrate(record: Mapping[str, Any], outputs: Mapping[str, np.ndarray], examples: Any) -> dict[str, Any]:
    """What validation decides after training: for several labels, the threshold per label with the best F1."""
    import numpy as np

    if not record["is_multi"]:
        return {}
    scores = 1 / (1 + np.exp(-outputs["logits"].astype(np.float64)))
    return {"thresholds": tuple(_threshold(scores[:, i], examples.targets[:, i]) for i in range(scores.shape[1]))}


def _threshold(scores: np.ndarray, truth: np.ndarray) -> float:
    """The middle of the widest-supported cut: rows sorted by score, F1 at each place, the best place taken."""
    import numpy as np

    if truth.sum() == 0:
        return 0.5
    ranked = np.argsort(-scores, kind="stable")
    hits = np.cumsum(truth[ranked])
    f1 = 2 * hits / (np.arange(1, len(scores) + 1) + truth.sum())
    # only places where the score changes can be cut
    cuttable = np.append(scores[ranked][:-1] > scores[ranked][1:], True)
    best = int(np.argmax(np.where(cuttable, f1, -1)))
    below = scores[ranked][best + 1] if best + 1 < len(scores) else 0.0
    middle = float((scores[ranked][best] + below) / 2)
    return middle if below < middle else float(scores[ranked][best])


def answered(record: Mapping[str, Any], outputs: Mapping[str, np.ndarray], examples: Any) -> dict[str, tuple[int, int]]:
    """How often each label is answered and how often it is true, where a row has one; thresholds see to it elsewhere."""
    import numpy as np

    if record["is_multi"]:
        return {}
    count = len(record["labels"])
    given, true = (np.bincount(v, minlength=count) for v in (outputs["logits"].argmax(-1), examples.targets))
    return {label: (int(given[i]), int(true[i])) for i, label in enumerate(record["labels"])}
