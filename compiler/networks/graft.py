"""The network: a backbone, its pooling, and a head on top."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn


class Graft(nn.Module):
    """Arrays in, output tensors by name out; the very module that is trained is the one that is exported."""

    def __init__(
        self,
        backbone: nn.Module,
        pool: Callable[[Any, Mapping[str, torch.Tensor]], torch.Tensor],
        inputs: tuple[str, ...],
        head: nn.Module,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.pool = pool
        self.inputs = inputs

    def feature(self, arrays: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """What the head sees: (batch, width)."""
        given = {name: arrays[name] for name in self.inputs}
        return self.pool(self.backbone(**given), given)

    def forward(self, **arrays: torch.Tensor) -> dict[str, torch.Tensor]:
        """Outputs by name; a `feature` computed before is taken as it is."""
        feature = arrays["feature"] if "feature" in arrays else self.feature(arrays)
        outputs: dict[str, torch.Tensor] = self.head(feature)
        return outputs


def none(outputs: Any, arrays: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Every token's state: (batch, tokens, width)."""
    state: torch.Tensor = outputs.last_hidden_state
    return state


def mean(outputs: Any, arrays: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """The mean state over real tokens."""
    mask = arrays["attention_mask"].unsqueeze(-1).to(outputs.last_hidden_state.dtype)
    return (outputs.last_hidden_state * mask).sum(1) / mask.sum(1).clamp(min=1.0)


def cls(outputs: Any, arrays: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """The first token's state."""
    state: torch.Tensor = outputs.last_hidden_state[:, 0]
    return state


def max(outputs: Any, arrays: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """The largest value of each channel over real tokens."""
    hidden = arrays["attention_mask"].unsqueeze(-1) == 0
    return outputs.last_hidden_state.masked_fill(hidden, torch.finfo(outputs.last_hidden_state.dtype).min).amax(1)


def last(outputs: Any, arrays: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """The last real token's state, whichever side is padded."""
    mask = arrays["attention_mask"]
    positions = torch.arange(mask.shape[1], device=mask.device)
    where = (mask * positions).argmax(1)
    state: torch.Tensor = outputs.last_hidden_state[torch.arange(mask.shape[0], device=mask.device), where]
    return state


POOLINGS = {"none": none, "mean": mean, "cls": cls, "max": max, "last": last}
