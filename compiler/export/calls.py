"""Runs a network's graphs for a decoder and records each call: examples for exporters, cases for the gates."""

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
    """One call of a graph: the arrays given and the arrays returned; `graph` is its name in the plan."""

    graph: str
    given: Mapping[str, np.ndarray]
    found: Mapping[str, np.ndarray]


class NetworkRun:
    """Runs the graphs of a network for the decoder of one task (`runtime.heads.Run`), and records every call."""

    def __init__(self, network: Network, plan: Plan, task: TaskPlan, processor: Any) -> None:
        self.graphs, self.task, self.processor = network.graphs(), task, processor
        self.along = ragged(plan.tasks)
        self.calls: list[Call] = []

    def once(self, rows: Rows) -> Outputs:
        """The outputs of the graph `model` for rows, by the task's own words."""
        batch = self.processor.collate(rows.features)
        with torch.inference_mode():
            found = self.graphs[MODEL](**arrays(batch, "cpu"))
        return self.task.own(cut(found, rows.features, self.along))

    def __call__(self, graph: str, given: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The outputs of any graph of the task."""
        name = graph if graph == MODEL else self.task.named(graph)
        with torch.inference_mode():
            outputs = self.graphs[name](**arrays(given, "cpu"))
        found = {word: values.float().cpu().numpy() for word, values in outputs.items()}
        self.calls.append(Call(name, dict(given), found))
        return self.task.own(found) if graph == MODEL else found


def asked(network: Network, plan: Plan, processor: Any, inputs: Sequence[Any]) -> list[Call]:
    """The calls that decoders make besides one pass of `model`, for some inputs together."""
    found: list[Call] = []
    for task in plan.tasks:
        if len(task.graphs) > 1:
            run = NetworkRun(network, plan, task, processor)
            decoder(task.head.type).answer(run, task.head.record.plain(), processor.rows(inputs))
            found += run.calls
    return found


def example(calls: Sequence[Call], graph: str) -> Mapping[str, np.ndarray]:
    """The arrays to trace a graph with: of all its calls, the one whose smallest side is largest.

    Raises LookupError where no decoder calls the graph.
    """
    own = [call.given for call in calls if call.graph == graph]
    if not own:
        raise LookupError(f"no decoder asks the graph `{graph}`")
    return max(own, key=lambda given: min(side for array in given.values() for side in array.shape or (2,)))
