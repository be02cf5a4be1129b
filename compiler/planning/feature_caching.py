"""Decides how many frozen layers can be cached: from the bottom of a backbone up to the lowest layer that learns."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from .. import variants
from ..contracts.reading import RowReader
from ..facts.backbone import BackboneFacts

if TYPE_CHECKING:
    from .plan import BackbonePlan, SplitPlan, TaskPlan, TensorPlan

STACK = "layers"  # the part whose outputs can be cached


def cacheable(planned: BackbonePlan, facts: BackboneFacts) -> tuple[int, str]:
    """(layers, reason): how many of the lowest layers give the same output in every epoch, and why no more do.

    A layer counts where it and everything beneath it is frozen, because frozen modules run in inference mode.
    """
    family = facts.family
    if STACK not in family.parts or "tokens" not in family.provides:
        return 0, f"something in the backbone learns, and `{facts.word}` has no layers whose states can be cached"
    if family.uncacheable:
        return 0, family.uncacheable
    lowest, beneath = _lowest(planned, facts, lambda tensor: tensor.state != "frozen")
    if beneath:
        return 0, f"`{beneath}` learns, or is not frozen, beneath the layers"
    return lowest, f"layer {lowest} is the lowest that is not frozen"


def cached_bytes(
    fold: str, precision: str, views: int, tasks: Iterable[TaskPlan], measured: Mapping[str, float], width: int
) -> int:
    """Bytes of the cached features of all splits; heads that read the same rows share them.

    A row has one vector of `width` numbers, or one for each token; training rows have them for each view.
    """
    if fold == "none":
        return 0
    unlike = {_seen(fold, task, split): split for task in tasks for split in task.data.splits}
    rows = sum(split.rows * (views if split.name == "train" else 1) for split in unlike.values())
    each = 1.0 if fold == "feature" else float(measured.get("tokens_mean", 1.0))
    return round(rows * each * width * {"fp32": 4, "fp16": 2}[precision])


def _seen(fold: str, task: TaskPlan, split: SplitPlan) -> tuple[RowReader | str, ...]:
    """The key by which tasks share the cached features of a split: equal keys mean equal rows."""
    reader = variants.reader(task.head.type)
    columns = (task.data.columns.get(role) for role in reader.roles)
    pooling = task.head.pooling if fold == "feature" else ""
    return (reader, pooling, split.model_dump_json(), *map(str, columns))


def depth(planned: BackbonePlan) -> int:
    """The number of layers of a backbone whose outputs could be cached."""
    pattern = planned.variant.parts[STACK]
    return 1 + max(int(hit[1]) for tensor in planned.tensors if (hit := re.match(pattern, tensor.name)))


def common(planned: BackbonePlan, facts: BackboneFacts) -> int:
    """The number of lowest layers that no adapter changes, so that all adapters share their output."""
    family = facts.family
    if STACK not in family.parts or family.uncacheable:
        return 0
    lowest, beneath = _lowest(planned, facts, lambda tensor: tensor.state == "added")
    return 0 if beneath else lowest


def _lowest(planned: BackbonePlan, facts: BackboneFacts, differs: Callable[[TensorPlan], bool]) -> tuple[int, str]:
    """(layer, name): the lowest layer with a tensor that differs, and a tensor beneath all layers that differs, or "".

    A tensor in no part of the family counts as above the layers.
    """
    family = facts.family
    lowest = facts.depth(STACK) or 0
    for tensor in filter(differs, planned.tensors):
        hit = re.match(family.parts[STACK], tensor.name)
        if hit:
            lowest = min(lowest, int(hit[1]))
        elif tensor.state == "added" or any(re.match(pattern, tensor.name) for pattern in family.parts.values()):
            return 0, tensor.name
    return lowest, ""


def stack_of(pattern: str) -> str:
    """The name of the module that holds a stack, from the stack's pattern of tensor names.

    >>> stack_of(r"encoder\\.layer\\.(\\d+)\\.")
    'encoder.layer'
    """
    return pattern.partition(r"\.(\d+)")[0].replace("\\", "")
