"""ResNet: stages of convolutions with residual connections (He et al., 2015, arXiv:1512.03385)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ._shapes import DEEPEST, Shapes, convolution

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
CONVOLVES = True
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


def shapes(config: Mapping[str, Any]) -> Shapes:
    """Every tensor of ResNetModel."""
    inputs = config["embedding_size"]
    found = convolution("embedder.embedder", config["num_channels"], inputs, 7)
    for stage, (outputs, depth) in enumerate(zip(config["hidden_sizes"], config["depths"], strict=False)):
        is_strided = stage > 0 or config["downsample_in_first_stage"]
        for i in range(min(max(depth, 1), DEEPEST)):
            at = f"encoder.stages.{stage}.layers.{i}"
            if i == 0 and (inputs != outputs or is_strided):
                found |= convolution(f"{at}.shortcut", inputs, outputs, 1)
            for number, sizes in enumerate(_block(config, outputs if i else inputs, outputs)):
                found |= convolution(f"{at}.layer.{number}", *sizes)
        inputs = outputs
    return found


def _block(config: Mapping[str, Any], inputs: int, outputs: int) -> tuple[tuple[int, int, int], ...]:
    """Inputs, outputs and size of a block's convolutions."""
    if config["layer_type"] == "basic":
        return (inputs, outputs, 3), (outputs, outputs, 3)
    narrow = outputs // 4
    return (inputs, narrow, 1), (narrow, narrow, 3), (narrow, outputs, 1)
