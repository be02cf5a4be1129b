"""ResNet: stages of convolutions with residual connections (He et al., 2015, arXiv:1512.03385)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

MODALITY = "image"
PROVIDES = frozenset({"pooled"})
PREFIX = "resnet."
OMITTED: tuple[str, ...] = (r"(?!(embedder|encoder)\.)",)  # whatever lies outside is a head
BUFFERS: tuple[str, ...] = (r"\.(running_mean|running_var|num_batches_tracked)$",)
RENAMED: Mapping[str, str] = {}
PARTS: Mapping[str, str] = {"stem": r"embedder\.", "stages": r"encoder\.stages\.(\d+)\."}
NORMS = r"normalization\.\w+$"
KINDS: Mapping[str, str] = {"convolution": r"convolution$"}
TARGET: tuple[str, ...] = ("convolution",)
INPUTS: tuple[str, ...] = ("pixel_values",)
LOAD: Mapping[str, Any] = {}


def width(config: Mapping[str, Any]) -> int:
    """The channels of the last stage."""
    return int(config.get("hidden_sizes", (256, 512, 1024, 2048))[-1])


def longest(config: Mapping[str, Any]) -> int | None:
    """Images have no length; the preprocessing fixes their size."""
    return None


def pooled(outputs: Any) -> torch.Tensor:
    """The mean over the last stage's positions."""
    return outputs.pooler_output.flatten(1)
