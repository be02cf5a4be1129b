"""Scores a network on validation rows during training, and compares cached features with the network."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..diagnostics import refuse
from ..model.network import Network
from ..planning.plan import Phase, TaskPlan
from ..planning.terms import MEAN
from .loaders import Batch, Rows, loss_of, outputs_of
from .memory import Parts, cuts, joined
from .writing import scored_outputs

# features that the network computed in this process, by the cache's folder, whose name depends on weights, rows and
# preprocessing, and by rows: specs that share a cache run the network once
SEEN: dict[tuple[Path, bytes], torch.Tensor] = {}
UNLIKE = {"float32": 1e-4, "float16": 5e-3}  # allowed relative difference by dtype of the cache


def validated(network: Network, splits: Iterable[Rows], plan: Phase) -> dict[str, float | None]:
    """The validation loss over all tasks, the metric of each, and the metric that picks the best epoch.

    That metric is one of the tasks', or their weighted mean, in which metrics count as negative where lower is better.
    The mean is None where a metric is None, because epochs would be compared by different means. Empty without
    validation rows.
    """
    found: dict[str, float | None] = {}
    loss = weights = 0.0
    signed: float | None = 0.0
    for rows in splits:
        task, outputs = rows.task, scored_outputs(network, plan, rows, "validation")
        metrics, value = task.head.variant.metrics, _metric(task, outputs, rows.prepared.examples())
        loss += task.weight * loss_of(outputs, rows, plan.train.batch_size)
        weights += task.weight
        if signed is not None:
            signed = None if value is None else signed + task.weight * metrics.direction(task.metric) * value
        found |= {"validation_loss": round(loss, 6), task.named(task.metric): value}
    if not found or plan.train.metric != MEAN:
        return found
    return found | {MEAN: None if signed is None else signed / weights}


def _metric(task: TaskPlan, outputs: Any, examples: Any) -> float | None:
    """A task's metric with thresholds and the like calibrated on validation, as in the bundle.

    With the plan's thresholds, every epoch of rare labels would score 0, and the first epoch would be kept.
    """
    metrics, record = task.head.variant.metrics, task.head.record.plain()
    calibrated = {**record, **metrics.calibrate(record, outputs, examples)}
    return metrics.one(task.metric, calibrated, outputs, examples)


def refuse_unlike(network: Network, rows: Rows, batches: Iterable[np.ndarray]) -> None:
    """Raises Refused E0418 where cached features give a batch another feature or loss than the network.

    Both run in inference mode. A batch is the numbers of its inputs.
    """
    assert rows.cache is not None
    allowed, network = UNLIKE[rows.cache.values.dtype.name], network.eval()
    for number, chosen in enumerate(batches, 1):
        places = rows.prepared.rows_of(chosen)
        with torch.inference_mode():
            known = (
                (rows.cache_folder, places.tobytes()) if rows.cache_folder and not rows.loader.runs_backbone else None
            )
            plain = {"feature": SEEN[known]} if known in SEEN else rows.raw.batch(places)
            (ours, cached), (theirs, whole) = (
                _seen(network, rows, b, places) for b in (rows.loader.batch(places), plain)
            )
        if known:
            SEEN[known] = theirs
        if theirs.ndim == 3:  # padding is not compared
            ours, theirs = (values * plain["attention_mask"].unsqueeze(-1) for values in (ours, theirs))
        apart = float((ours - theirs).abs().max() / theirs.abs().max().clamp(min=torch.finfo(torch.float32).tiny))
        if not (apart <= allowed and abs(cached - whole) <= allowed * max(1.0, abs(whole))):
            raise refuse(
                "E0418",
                "cached features are not what the network computes",
                f"loss of batch {number}: {cached:.6g} from the cache, {whole:.6g} from the rows",
                f"largest difference of a feature, relative to the largest of them: {apart:.1e}, allowed {allowed:.1e}",
                help="train with `train.fold: off`, and report this with the spec",
            )


def _seen(network: Network, rows: Rows, batch: Batch, places: np.ndarray) -> tuple[torch.Tensor, float]:
    """The features of a batch and its loss, computed in parts that fit the budget and the memory."""
    name, head = rows.task.name, rows.task.head
    needed = -(-len(places) * int(rows.prepared.lengths()[places].max()) // rows.budget)

    def asked(count: int) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        found = []
        for cut in cuts(len(places), max(count, needed)):
            part = {word: values[cut] for word, values in batch.items()}
            feature = part["feature"] if "feature" in part else network.features(part, [name])[name]
            found.append((feature, network.answers({**part, "feature": feature}, [name])[name]))
        features, answers = zip(*found, strict=True)
        return torch.cat(features), {word: joined([each[word] for each in answers]) for word in answers[0]}

    seen, answers = Parts().fit(len(places), asked)
    return seen, float(head.variant.loss(head.record, answers, rows.targets_of(places)))


def first(rows: Rows, size: int) -> list[np.ndarray]:
    """The first batch of a split, for the comparison."""
    return [np.arange(min(size, len(rows)))]


def scored(network: Network, rows: Rows) -> dict[str, Any]:
    """Every metric of a task on a split, and its loss."""
    task, outputs = rows.task, outputs_of(network, rows)
    found = {"loss": round(loss_of(outputs, rows, len(rows)), 6)}
    report = task.head.variant.metrics.report(task.head.record, outputs, rows.prepared.examples())
    return found | {name: value for name, value in report.items() if value is None or isinstance(value, int | float)}


def direction(plan: Phase) -> int:
    """1 where a higher value of the metric that picks the best epoch is better, else -1."""
    named = {task.named(task.metric): task.head.variant.metrics.direction(task.metric) for task in plan.tasks}
    return named.get(plan.train.metric, 1)
