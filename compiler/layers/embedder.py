"""Layers that make vectors of a pooled feature."""

from __future__ import annotations

import torch
from torch import nn

from .head import HeadModule


class Embedder(HeadModule):
    """An optional projection without bias, then normalisation: (batch, width) → (batch, dimensions)."""

    def __init__(self, width: int, dimensions: int | None) -> None:
        super().__init__()
        self.projection = nn.Linear(width, dimensions, bias=False) if dimensions else nn.Identity()

    def forward(self, feature: torch.Tensor) -> dict[str, torch.Tensor]:
        """Unit vectors."""
        return {"sentence_embedding": nn.functional.normalize(self.projection(feature), dim=-1)}


class Features(HeadModule):
    """A feature by name, unchanged or normalised."""

    def __init__(self, is_normalized: bool) -> None:
        super().__init__()
        self.is_normalized = is_normalized

    def forward(self, feature: torch.Tensor) -> dict[str, torch.Tensor]:
        """The feature of a text, or those of its tokens."""
        return {"features": nn.functional.normalize(feature, dim=-1) if self.is_normalized else feature}
