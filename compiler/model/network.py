"""The network: a backbone with its adapters, and heads with their poolings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import torch
from torch import nn

from ...runtime.manifest import MODEL
from ..features.layers import STATE, Prefix
from ..layers.decoders import POSITIONS
from ..layers.head import HeadModule
from ..planning.plan import TaskPlan

Feature: TypeAlias = (
    torch.Tensor | tuple[torch.Tensor, ...]
)  # (batch, width), (batch, tokens, width), or maps of a picture
Pool = Callable[[Any, Mapping[str, torch.Tensor]], Any]  # (outputs of a backbone, its arguments) → feature


class Network(nn.Module):
    """The network that is trained and exported: arrays in, output tensors by name out.

    `backbones` holds one module for each adapter, by the adapter's name. They share all tensors but the added ones.
    """

    def __init__(
        self,
        backbones: Mapping[str, nn.Module],
        tasks: Sequence[TaskPlan],
        heads: Sequence[HeadModule],
        pools: Sequence[Pool],
    ) -> None:
        super().__init__()
        self.adapters = tuple(backbones)
        self.backbone, *others = backbones.values()
        self.others = nn.ModuleList(others)
        self.heads = nn.ModuleList(heads)
        self.tasks = {task.name: (task, pool, i) for i, (task, pool) in enumerate(zip(tasks, pools, strict=True))}
        self.arguments = tasks[0].data.arguments  # argument of the backbone → name of the array that it takes
        self.further: Mapping[str, bool] = {}  # arguments of the backbone besides arrays
        self.prefixes: dict[str, Prefix] = {}  # adapter → its cached layers
        self._tie()

    @property
    def backbones(self) -> dict[str, nn.Module]:
        """The backbone of each adapter, by the adapter's name."""
        return dict(zip(self.adapters, (self.backbone, *self.others), strict=True))

    def take(self, backbones: Mapping[str, nn.Module]) -> None:
        """Replaces the backbones by others in the same order."""
        self.backbone, *others = backbones.values()
        self.others = nn.ModuleList(others)
        self._tie()

    def head(self, number: int) -> HeadModule:
        """The head of a task, by the task's number."""
        found: HeadModule = self.heads[number]
        return found

    def _tie(self) -> None:
        backbones = self.backbones
        for task, _, i in self.tasks.values():
            self.head(i).tie(backbones[task.adapter])

    def graphs(self) -> dict[str, nn.Module]:
        """The exported modules by name: `model`, and further graphs of heads.

        Each takes arrays by name and returns tensors by name.
        """
        found: dict[str, nn.Module] = {MODEL: self}
        for task, _, i in self.tasks.values():
            own = self.head(i).graphs(self.backbones[task.adapter])
            found |= {name if name == MODEL else task.named(name): module for name, module in own.items()}
        return found

    def features(self, arrays: Mapping[str, torch.Tensor], names: Iterable[str]) -> dict[str, Any]:
        """The features of some tasks, by task; the backbone runs once for each adapter of theirs."""
        given, state = {name: arrays[array] for name, array in self.arguments.items()}, arrays.get(STATE)
        given |= {POSITIONS: arrays[POSITIONS]} if POSITIONS in arrays else {}
        of = {name: self.tasks[name][0].adapter for name in names}
        states: dict[str, Any] = {}
        for adapter in dict.fromkeys(of.values()):
            is_cached = state is not None and adapter in self.prefixes
            run = self.backbones[adapter]
            states[adapter] = (
                self.prefixes[adapter].outputs(given, state) if is_cached else run(**given, **self.further)
            )
        return {name: self.tasks[name][1](states[adapter], given) for name, adapter in of.items()}

    def answers(self, arrays: Mapping[str, torch.Tensor], names: Iterable[str]) -> dict[str, dict[str, torch.Tensor]]:
        """Outputs of some tasks, by task and by their own words; a cached `feature` replaces the backbone."""
        seen = dict.fromkeys(names, arrays["feature"]) if "feature" in arrays else self.features(arrays, names)
        return {name: self._answer(self.head(self.tasks[name][2]), feature, arrays) for name, feature in seen.items()}

    @staticmethod
    def _answer(head: HeadModule, feature: Feature, arrays: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The outputs of a head, which also gets the arrays if it reads them."""
        found: dict[str, torch.Tensor] = head(feature, arrays) if head.reads_arrays else head(feature)
        return found

    def forward(self, **arrays: torch.Tensor) -> dict[str, torch.Tensor]:
        """The outputs of all tasks, by their names in the graph."""
        found = self.answers(arrays, self.tasks)
        return {self.tasks[name][0].named(word): array for name, own in found.items() for word, array in own.items()}


Pooling = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]  # (states, mask) → a feature


def mean(states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The mean state over real tokens: states (batch, tokens, width), mask (batch, tokens) → (batch, width)."""
    real = mask.unsqueeze(-1).to(states.dtype)
    return (states * real).sum(1) / real.sum(1).clamp(min=1.0)


def cls(states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The first token's state."""
    return states[:, 0]


def max(states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The largest value of each channel over real tokens."""
    return states.masked_fill(mask.unsqueeze(-1) == 0, torch.finfo(states.dtype).min).amax(1)


def last(states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The last real token's state, whichever side is padded."""
    positions = torch.arange(mask.shape[1], device=mask.device)
    return states[torch.arange(mask.shape[0], device=mask.device), (mask * positions).argmax(1)]


POOLINGS: dict[str, Pooling] = {"mean": mean, "cls": cls, "max": max, "last": last}
