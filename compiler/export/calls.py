"""A network's graphs as a decoder asks them, and what they were asked: examples for exporters, and cases for the gates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ...runtime.manifest import MODEL
from ...runtime.rows import Outputs, Rows
from ...runtime.variants import decoder
from ..model.network import Network
from ..planning.plan import Plan, TaskPlan
from ..training.loaders import arrays, cut, ragged


@dataclass(frozen=True)
class Call:
    """Arrays that a graph was given, and what it gave; `graph` is its name in the plan."""

    graph: str
    given: Mapping[str, np.ndarray]
    found: Mapping[str, np.ndarray]


class NetworkRun:
    """The graphs of a network as the decoder of one task asks them; see `runtime.heads.Run`. It keeps every call."""

    def __init__(self, network: Network, plan: Plan, task: TaskPlan, processor: Any) -> None:
        self.graphs, self.task, self.processor = network.graphs(), task, processor
        self.along = ragged(plan.tasks)
        self.calls: list[Call] = []

    def once(self, rows: Rows) -> Outputs:
        """What the graph `model` gives for rows, by the task's own words."""
        batch = self.processor.collate(rows.features)
        with torch.inference_mode():
            found = self.graphs[MODEL](**arrays(batch, "cpu"))
        return self.task.own(cut(found, rows.features, self.along))

    def __call__(self, graph: str, given: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """What any graph of the task gives."""
        name = graph if graph == MODEL else self.task.named(graph)
        with torch.inference_mode():
            outputs = self.graphs[name](**arrays(given, "cpu"))
        found = {word: values.float().cpu().numpy() for word, values in outputs.items()}
        self.calls.append(Call(name, dict(given), found))
        return self.task.own(found) if graph == MODEL else found


def asked(network: Network, plan: Plan, processor: Any, inputs: Sequence[Any]) -> list[Call]:
    """What the decoders ask of graphs besides a single pass of `model`, for some inputs together."""
    found: list[Call] = []
    for task in plan.tasks:
        if len(task.graphs) > 1:
            run = NetworkRun(network, plan, task, processor)
            decoder(task.head.type).answer(run, task.head.record.plain(), processor.rows(inputs))
            found += run.calls
    return found


def example(calls: Sequence[Call], graph: str) -> Mapping[str, np.ndarray]:
    """The arrays of the call by which a graph is traced: the one whose smallest side is the largest.

    Raises LookupError where there was no call.
    """
    own = [call.given for call in calls if call.graph == graph]
    if not own:
        raise LookupError(f"no decoder asks the graph `{graph}`")
    return max(own, key=lambda given: min(side for array in given.values() for side in array.shape or (2,)))
