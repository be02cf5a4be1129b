"""Bottleneck adapters: small residual networks after modules of a backbone."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

ACTIVATIONS = {"relu": nn.functional.relu, "gelu": nn.functional.gelu, "silu": nn.functional.silu}


class Bottleneck(nn.Module):
    """Adds to a state (…, width) the output of a narrow network, at first zero, because `up` starts at zero."""

    def __init__(self, width: int, narrow: int, activation: str) -> None:
        super().__init__()
        self.down = nn.Linear(width, narrow)
        self.up = nn.Linear(narrow, width)
        self.activation = ACTIVATIONS[activation]
        nn.init.normal_(self.down.weight, std=0.02)
        for values in (self.down.bias, self.up.weight, self.up.bias):
            nn.init.zeros_(values)

    def forward(self, state: torch.Tensor) -> torch.Tensor:
        """The state with the update."""
        update: torch.Tensor = self.up(self.activation(self.down(state)))
        return state + update


class Adapted(nn.Module):
    """A module with an adapter after it."""

    def __init__(self, base: nn.Module, adapter: nn.Module) -> None:
        super().__init__()
        self.base_layer = base
        self.adapter = adapter

    def forward(self, *values: Any) -> torch.Tensor:
        """The adapter's output for the module's output."""
        found: torch.Tensor = self.adapter(self.base_layer(*values))
        return found


def insert(module: nn.Module, widths: dict[str, int], narrow: dict[str, int], activation: str) -> nn.Module:
    """Puts an adapter after each named module, with its width and its inner width; in place."""
    for name, width in widths.items():
        owner, _, last = name.rpartition(".")
        parent = module.get_submodule(owner)
        setattr(parent, last, Adapted(getattr(parent, last), Bottleneck(width, narrow[name], activation)))
    return module
