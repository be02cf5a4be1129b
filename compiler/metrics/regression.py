"""Scores of numbers against numbers, computed by torchmetrics; of several numbers the mean over them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

NAMES = ("pearson", "spearman", "r2", "mse", "rmse", "mae")
LOWER_IS_BETTER = frozenset({"mse", "rmse", "mae"})


def names(is_multi: bool) -> tuple[str, ...]:
    """Metrics that a spec may name under `train.metric`."""
    return NAMES


def direction(name: str) -> int:
    """1 where higher is better, -1 where lower is."""
    return -1 if name in LOWER_IS_BETTER else 1


def one(name: str, record: Mapping[str, Any], outputs: Mapping[str, np.ndarray], examples: Any) -> float:
    """One metric of logits (rows, numbers) against targets of the same shape."""
    import torch

    found, truth = (torch.as_tensor(values).double() for values in (outputs["logits"], examples.targets))
    return _mean([_value(name, found[:, i].contiguous(), truth[:, i].contiguous()) for i in range(found.shape[1])])


def report(record: Mapping[str, Any], outputs: Mapping[str, np.ndarray], examples: Any) -> dict[str, Any]:
    """Every metric, and of several numbers each one's Pearson correlation."""
    found: dict[str, Any] = {name: one(name, record, outputs, examples) for name in NAMES}
    if len(record["names"]) > 1:
        columns = zip(record["names"], outputs["logits"].T, examples.targets.T, strict=True)
        found["pearson_per_number"] = {name: correlation("pearson", ours, truth) for name, ours, truth in columns}
    return found


def calibrate(record: Mapping[str, Any], outputs: Mapping[str, np.ndarray], examples: Any) -> dict[str, Any]:
    """Nothing is left to decide after training."""
    return {}


def correlation(name: str, found: np.ndarray, truth: np.ndarray) -> float:
    """`pearson` or `spearman` of two rows of numbers; 0 where one of them does not vary."""
    import torch

    return _mean([_value(name, torch.as_tensor(found).double(), torch.as_tensor(truth).double())])


def _value(name: str, found: Any, truth: Any) -> float:
    """One metric of one number over all rows; those that compare rows are 0 where there is one row only."""
    from torchmetrics import functional as tm

    if name in ("mse", "rmse"):
        return float(tm.mean_squared_error(found, truth, squared=name == "mse"))
    if name == "mae":
        return float(tm.mean_absolute_error(found, truth))
    if len(found) < 2:
        return 0.0
    functions = {"pearson": tm.pearson_corrcoef, "spearman": tm.spearman_corrcoef, "r2": tm.r2_score}
    with warnings.catch_warnings():  # of numbers that do not vary, which have no correlation
        warnings.simplefilter("ignore", UserWarning)
        value = float(functions[name](found, truth))
    return value if abs(value) < float("inf") else 0.0  # a NaN is not below either


def _mean(values: list[float]) -> float:
    return round(sum(values) / len(values), 6)
