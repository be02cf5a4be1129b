"""The layers on top of a pooled feature."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn

from .head import HeadModule


class Classifier(HeadModule):
    """Dropout and linear layers: (batch, width) → (batch, outputs).

    Without hidden widths it is one linear layer, the classifier that transformers puts on most backbones. It starts as
    transformers' does: weights normal with deviation 0.02, biases zero.
    """

    def __init__(self, width: int, hidden: tuple[int, ...], outputs: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        sizes = (width, *hidden)
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        self.out = nn.Linear(sizes[-1], outputs)
        for layer in (*self.hidden, self.out):
            nn.init.normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)

    def forward(self, feature: torch.Tensor) -> dict[str, torch.Tensor]:
        """The logits of a feature."""
        state = self.dropout(feature)
        for layer in self.hidden:
            state = self.dropout(nn.functional.gelu(layer(state)))
        return {"logits": self.out(state)}
