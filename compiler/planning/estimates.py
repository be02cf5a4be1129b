"""Estimates of what a plan costs: exact parameter counts, approximate bytes of memory and disk."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from ..facts.facts import Facts
from ..frozen import Json
from .export import ExportPlan
from .feature_caching import cached_bytes
from .plan import BackbonePlan, DataPlan, Estimates, Phase, TensorPlan, TrainPlan
from .terms import BITS


def estimates(phase: Phase, export: ExportPlan, facts: Facts, before: Sequence[Phase] = ()) -> Estimates:
    """The cost of the supervised phase; memory is that of the phase with the highest need.

    `before` are the stages of `pretrain`, in the order of `facts.pretrain`. Memory counts tensors only; libraries of
    the process need more.
    """
    backbone, tasks, train, measured = phase.backbone, phase.tasks, phase.train, facts.each[0].measured
    times, merges = len(phase.each_adapter), phase.method.variant.merges
    added = times * _numbers(t for t in backbone.tensors if t.state == "added")
    whole = _parameters(phase)
    rows = sum(split.rows for task in tasks for split in task.data.splits)
    data = tasks[0].data
    stored = data.variant.stored(data.preprocessing, measured)
    cached = cached_bytes(train.fold, train.fold_precision, train.fold_views, tasks, measured, backbone.width)
    # merging gives each adapter a copy of its own of the weights that it adapts
    again = (times - 1) * _numbers(_adapted(backbone)) if merges and times > 1 else 0
    graph = 4 * (whole - (added if merges else 0) + again)
    graphs = sum(graph * BITS.get(precision, 32) // 32 for precision in export.precision)
    phases = [(phase, facts), *zip(before, facts.pretrain, strict=True)]
    disk = rows * stored + cached + 16 * phase.trainable + 3 * graphs + graph
    return Estimates(
        parameters=whole,
        trainable=phase.trainable,
        memory_bytes=max(_memory(each, seen) for each, seen in phases),
        disk_bytes=disk,
        cached_bytes=cached,
        onnx_bytes=graph,
        measured=Json({k: _plain(v) for k, v in measured.items()}),
    )


def _parameters(phase: Phase) -> int:
    """The number of parameters of the backbone, of all adapters, and of the heads."""
    added = (t for t in phase.backbone.tensors if t.state == "added")
    own = _numbers(t for t in phase.backbone.tensors if t.state != "added")
    return own + len(phase.each_adapter) * _numbers(added) + sum(task.head.parameters for task in phase.tasks)


def _memory(phase: Phase, facts: Facts) -> int:
    """Bytes of a phase's tensors: weights, gradients with AdamW's state, a batch, and activations for one step."""
    data, train = phase.tasks[0].data, phase.train
    stored = data.variant.stored(data.preprocessing, facts.each[0].measured)
    steps = 0 if train.fold == "feature" else _activations(phase.backbone, data, train, facts)
    tensors = 4 * _parameters(phase) + 16 * phase.trainable
    return tensors + train.batch_size * stored * 64 + len(phase.each_adapter) * steps


def _numbers(tensors: Iterator[TensorPlan]) -> int:
    return sum(math.prod(t.shape) for t in tensors if not t.is_buffer)


def _adapted(backbone: BackbonePlan) -> Iterator[TensorPlan]:
    """The weights of modules that have added tensors."""
    added = [t.name for t in backbone.tensors if t.state == "added"]
    for tensor in backbone.tensors:
        module = tensor.name.removesuffix("weight")
        if tensor.state != "added" and module != tensor.name and any(name.startswith(module) for name in added):
            yield tensor


def _activations(backbone: BackbonePlan, data: DataPlan, train: TrainPlan, facts: Facts) -> int:
    """Bytes of activations of one step on texts, counted as in Korthikanti et al. (2022, arXiv:2205.05198).

    Assumes fp32, heads of size 64, and a batch filled by the longest text of the sample. Activations of pictures are
    not counted, because their layers differ.
    """
    assert facts.backbone is not None
    layers = max((facts.backbone.depth(word) or 0 for word in facts.backbone.family.parts), default=0)
    longest = int(data.preprocessing.get("max_length", 0))
    if not data.preprocessing.get("is_packed"):  # blocks are full
        longest = min(max(int(seen.measured.get("tokens_max", 0)) for seen in facts.each), longest)
    return 2 * layers * train.batch_size * longest * backbone.width * (34 + 5 * longest // 64)


def _plain(value: Any) -> Any:
    return round(value, 4) if isinstance(value, float) else value
