"""Runs a network's graphs as a decoder asks them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from ...runtime.graphs import completed
from ...runtime.manifest import MODEL
from ...runtime.rows import Outputs, Rows
from ..model.network import Network
from ..planning.plan import Phase, TaskPlan
from .loaders import arrays, cut, ragged


@dataclass(frozen=True)
class Call:
    """One call of a graph: the arrays given and the arrays returned; `graph` is its name in the plan."""

    graph: str
    given: Mapping[str, np.ndarray]
    found: Mapping[str, np.ndarray]


def unheeded(call: Call) -> None:
    """Takes no notice of a call."""


class NetworkRun:
    """The graphs of a network as the decoder of one task asks them; see `runtime.heads.Run`.

    `heed` is given every call besides single passes. `graphs` are modules in place of the network's own.
    """

    def __init__(
        self,
        network: Network,
        plan: Phase,
        task: TaskPlan,
        processor: Any,
        heed: Callable[[Call], None] = unheeded,
        graphs: Mapping[str, nn.Module] | None = None,
    ) -> None:
        self.graphs, self.task, self.processor = graphs or network.graphs(), task, processor
        self.along = ragged(plan.tasks)
        self.heed, self.device = heed, str(next(network.parameters()).device)

    def once(self, rows: Rows) -> Outputs:
        """What the graph `model` gives for rows, by the task's own words."""
        told = self.task.graphs[self.task.head.variant.passes[0]].inputs
        batch = completed(told, self.processor.collate(rows.features))
        with torch.inference_mode():
            found = self.graphs[MODEL](**arrays(batch, self.device))
        return self.task.own(cut(found, rows.features, self.along))

    def __call__(self, graph: str, given: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The outputs of any graph of the task."""
        name = graph if graph == MODEL else self.task.named(graph)
        given = completed(self.task.graphs[graph].inputs, given)
        with torch.inference_mode():
            outputs = self.graphs[name](**arrays(given, self.device))
        found = {word: values.float().cpu().numpy() for word, values in outputs.items()}
        self.heed(Call(name, dict(given), found))
        return self.task.own(found) if graph == MODEL else found
