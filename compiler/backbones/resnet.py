"""ResNet: stages of convolutions with residual connections (He et al., 2015, arXiv:1512.03385)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..contracts.backbone import Config, Family, Level, Maps
from ._shapes import DEEPEST, Shapes, convolution

if TYPE_CHECKING:
    import torch


def width(config: Config) -> int:
    """The channels of the last stage."""
    return int(config.get("hidden_sizes", (256, 512, 1024, 2048))[-1])


def longest(config: Config) -> int | None:
    """None, because pictures have no length; preprocessing fixes their size."""
    return None


def pooled(outputs: Any) -> torch.Tensor:
    """The mean over positions of the last stage: (batch, width)."""
    return outputs.pooler_output.flatten(1)


def levels(config: Config) -> tuple[Level, ...]:
    """One level for each stage; the stem divides the sides by four."""
    finest = 8 if config["downsample_in_first_stage"] else 4
    return tuple(Level(channels, finest << stage) for stage, channels in enumerate(config["hidden_sizes"]))


def maps(outputs: Any, config: Config) -> tuple[torch.Tensor, ...]:
    """The outputs of the stages, without the stem's."""
    return tuple(outputs.hidden_states[1:])


def shapes(config: Config) -> Shapes:
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


def _block(config: Config, inputs: int, outputs: int) -> tuple[tuple[int, int, int], ...]:
    """(inputs, outputs, kernel size) of a block's convolutions."""
    if config["layer_type"] == "basic":
        return (inputs, outputs, 3), (outputs, outputs, 3)
    narrow = outputs // 4
    return (inputs, narrow, 1), (narrow, narrow, 3), (narrow, outputs, 1)


FAMILY = Family(
    modality="image",
    provides=frozenset({"pooled"}),
    prefix="resnet.",
    omitted=(r"(?!(embedder|encoder)\.)",),  # other names are a head's
    buffers=(r"\.(running_mean|running_var|num_batches_tracked)$",),
    parts={"stem": r"embedder\.", "stages": r"encoder\.stages\.(\d+)\."},
    norms=r"normalization\.\w+$",
    kinds={"convolution": r"convolution$"},
    target=("convolution",),
    convolves=True,
    shapes=shapes,
    width=width,
    longest=longest,
    inputs=("pixel_values",),
    pooled=pooled,
    maps=Maps(levels=levels, of=maps),
)
