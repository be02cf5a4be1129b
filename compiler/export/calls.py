"""Runs a network's graphs for a decoder and records each call: examples for exporters, cases for the gates."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from torch import nn

from ...runtime.variants import decoder
from ..model.network import Network
from ..planning.export import padding
from ..planning.plan import Plan, TaskPlan
from ..training.network_run import Call, NetworkRun


def graphs_of(network: Network, plan: Plan) -> dict[str, nn.Module]:
    """The modules of a plan's graphs by name, with the attention that the plan says."""
    found = network.graphs()
    if plan.export.is_grouped:
        from ..layers.generation import CachedPass
        from ..layers.grouped import GroupedPass

        found = {name: GroupedPass(each) if isinstance(each, CachedPass) else each for name, each in found.items()}
    return found


def ask(network: Network, plan: Plan, processor: Any, inputs: Sequence[Any], heed: Callable[[Call], None]) -> None:
    """Lets `heed` see what decoders ask of graphs besides a single pass of `model`, for some inputs together."""
    for task in (task for task in plan.tasks if task.asks_again):
        run, found = NetworkRun(network, plan, task, processor, heed, graphs_of(network, plan)), decoder(task.head.type)
        head = told(plan, task)
        found.answer(run, head, processor.rows(inputs), **found.trial(head))


def told(plan: Plan, task: TaskPlan) -> dict[str, Any]:
    """What a decoder is told of its head: the head's record, and how its graph wants rows padded."""
    return task.head.record.plain() | padding(plan.export)


def examples(
    network: Network, plan: Plan, processor: Any, inputs: Sequence[Any]
) -> dict[str, Mapping[str, np.ndarray]]:
    """By graph, the arrays of the call by which it is traced: the one whose smallest side is the largest."""
    found: dict[str, Mapping[str, np.ndarray]] = {}

    def heed(call: Call) -> None:
        if call.graph not in found or _smallest(call.given) > _smallest(found[call.graph]):
            found[call.graph] = call.given

    ask(network, plan, processor, inputs, heed)
    return found


def _smallest(arrays: Mapping[str, np.ndarray]) -> int:
    return min(side for array in arrays.values() for side in array.shape or (2,))
