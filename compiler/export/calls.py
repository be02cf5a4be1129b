"""Runs a network's graphs for a decoder and records each call: examples for exporters, cases for the gates."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from ...runtime.graphs import completed
from ...runtime.manifest import MODEL
from ...runtime.rows import Outputs, Rows
from ...runtime.variants import decoder
from ..model.network import Network
from ..planning.export import padding
from ..planning.plan import Plan, TaskPlan
from ..training.loaders import arrays, cut, ragged


def graphs_of(network: Network, plan: Plan) -> dict[str, nn.Module]:
    """The modules of a plan's graphs by name, with the attention that the plan says."""
    found = network.graphs()
    if plan.export.is_grouped:
        from ..layers.generation import CachedPass
        from ..layers.grouped import GroupedPass

        found = {name: GroupedPass(each) if isinstance(each, CachedPass) else each for name, each in found.items()}
    return found


@dataclass(frozen=True)
class Call:
    """One call of a graph: the arrays given and the arrays returned; `graph` is its name in the plan."""

    graph: str
    given: Mapping[str, np.ndarray]
    found: Mapping[str, np.ndarray]


class NetworkRun:
    """The graphs of a network as the decoder of one task asks them; see `runtime.heads.Run`.

    `heed` is given every call besides single passes.
    """

    def __init__(
        self, network: Network, plan: Plan, task: TaskPlan, processor: Any, heed: Callable[[Call], None]
    ) -> None:
        self.graphs, self.task, self.processor = graphs_of(network, plan), task, processor
        self.along, self.told = ragged(plan.tasks), plan.export.graphs[MODEL].inputs
        self.heed = heed

    def once(self, rows: Rows) -> Outputs:
        """What the graph `model` gives for rows, by the task's own words."""
        batch = completed(self.told, self.processor.collate(rows.features))
        with torch.inference_mode():
            found = self.graphs[MODEL](**arrays(batch, "cpu"))
        return self.task.own(cut(found, rows.features, self.along))

    def __call__(self, graph: str, given: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The outputs of any graph of the task."""
        name = graph if graph == MODEL else self.task.named(graph)
        given = completed(self.told, given) if graph == MODEL else given
        with torch.inference_mode():
            outputs = self.graphs[name](**arrays(given, "cpu"))
        found = {word: values.float().cpu().numpy() for word, values in outputs.items()}
        self.heed(Call(name, dict(given), found))
        return self.task.own(found) if graph == MODEL else found


def ask(network: Network, plan: Plan, processor: Any, inputs: Sequence[Any], heed: Callable[[Call], None]) -> None:
    """Lets `heed` see what decoders ask of graphs besides a single pass of `model`, for some inputs together."""
    for task in (task for task in plan.tasks if task.asks_again):
        run, found = NetworkRun(network, plan, task, processor, heed), decoder(task.head.type)
        found.answer(run, told(plan, task), processor.rows(inputs), **found.trial)


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
