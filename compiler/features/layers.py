"""Skips frozen layers whose output is cached, so that the layers above start from the cached state.

The backbone's own `forward` runs, so embeddings, masks and positions are unchanged. The cached layers compute nothing,
and the last of them returns the cached state in the form of its usual output.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from ..planning.feature_caching import STACK, stack_of
from ..planning.plan import Phase

STATE = "state"  # the array of a batch with the output of the cached layers: (batch, tokens, width)


class _Reached(Exception):
    """Ends a forward pass after the highest cached layer."""


class Prefix:
    """The cached layers of a backbone, with or without adapters."""

    def __init__(self, backbone: nn.Module, plan: Phase) -> None:
        self.layers = list(_stack(backbone, plan))[: plan.train.cached_layers]
        self.backbone = backbone
        # what each layer returns besides its state, None for a state alone; found by a first plain pass
        self.rest: list[tuple[Any, ...] | None] | None = None

    def states(self, given: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """The output of the cached layers for a batch: (batch, tokens, width); layers above do not run."""
        found: list[torch.Tensor] = []

        def stop(module: nn.Module, args: Any, answer: Any) -> None:
            found.append(answer[0] if isinstance(answer, tuple) else answer)
            raise _Reached

        hook = self.layers[-1].register_forward_hook(stop)
        try:
            self.backbone(**given)
        except _Reached:
            pass
        finally:
            hook.remove()
        return found[0]

    def outputs(self, given: Mapping[str, torch.Tensor], state: torch.Tensor) -> Any:
        """The backbone's outputs for a batch whose cached layers gave `state`."""
        if self.rest is None:
            self.rest = self._look(given)
        for i, (layer, rest) in enumerate(zip(self.layers, self.rest, strict=True)):
            layer.forward = _handing(state if i == len(self.layers) - 1 else None, rest)
        try:
            return self.backbone(**given)
        finally:
            for layer in self.layers:
                del layer.forward  # the class has its own

    def _look(self, given: Mapping[str, torch.Tensor]) -> list[tuple[Any, ...] | None]:
        """What each layer returns besides its state, from a pass of one row; leaves torch's random state unchanged."""
        found: list[Any] = []
        hooks = [
            layer.register_forward_hook(lambda module, args, answer: found.append(answer)) for layer in self.layers
        ]
        with torch.random.fork_rng(), torch.no_grad():
            self.backbone(**{name: array[:1] for name, array in given.items()})
        for hook in hooks:
            hook.remove()
        return [(None,) * (len(answer) - 1) if isinstance(answer, tuple) else None for answer in found]


def _stack(backbone: nn.Module, plan: Phase) -> nn.ModuleList:
    family = plan.backbone.variant
    plain = plan.method.variant.plain
    name = stack_of(family.parts[STACK])
    for found, module in backbone.named_modules():
        if isinstance(module, nn.ModuleList) and plain(f"{found}.").removesuffix(".") == name:
            return module
    raise LookupError(name)


def _handing(state: torch.Tensor | None, rest: tuple[Any, ...] | None) -> Any:
    """The `forward` of a skipped layer: it returns `state`, or its own input where that is None."""

    def forward(hidden_states: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        handed = hidden_states if state is None else state
        return handed if rest is None else (handed, *rest)

    return forward
