"""MobileNetV2: inverted residual blocks of depthwise convolutions (Sandler et al., 2018, arXiv:1801.04381).

`stages` are its blocks `layer.0` to `layer.15`, because checkpoints do not group them. The convolution before pooling,
`conv_1x1`, is in no part: it learns with the head.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from ..contracts.backbone import Config, Family, Level, Maps, Mistake
from . import resnet
from ._shapes import Shapes, convolution

if TYPE_CHECKING:
    import torch

STRIDES = (2, 1, 2, 1, 1, 2, 1, 1, 1, 1, 1, 1, 2, 1, 1, 1)  # strides of the blocks
# channels between blocks, at full width
CHANNELS = (16, 24, 24, 32, 32, 32, 64, 64, 64, 64, 96, 96, 96, 160, 160, 160, 320)


def width(config: Config) -> int:
    """The channels of the last convolution; narrow models keep 1280 by default."""
    multiplier = config.get("depth_multiplier", 1.0)
    if config.get("finegrained_output", True) and multiplier < 1:
        return 1280
    return _channels(config, 1280 * multiplier)


def _channels(config: Config, wanted: float) -> int:
    """The wanted channels, rounded to a multiple that the configuration asks for."""
    step, wanted = config.get("depth_divisible_by", 8), round(wanted)
    channels = max(config.get("min_depth", 8), int(wanted + step / 2) // step * step)
    return int(channels + step if channels < 0.9 * wanted else channels)


def levels(config: Config) -> tuple[Level, ...]:
    """One level for the last block of each resolution."""
    return tuple(
        Level(_channels(config, CHANNELS[block + 1] * config["depth_multiplier"]), stride)
        for stride, block in _last_blocks(config).items()
    )


def _last_blocks(config: Config) -> dict[int, int]:
    """Stride → the last block with it; blocks beyond `output_stride` are dilated instead."""
    found: dict[int, int] = {}
    stride = 2  # the stem's stride
    for block, halves in enumerate(STRIDES):
        stride = stride if stride == config["output_stride"] else stride * halves
        found[stride] = block
    return found


def maps(outputs: Any, config: Config) -> tuple[torch.Tensor, ...]:
    """The outputs of the last block of each resolution."""
    return tuple(outputs.hidden_states[block] for block in _last_blocks(config).values())


def shapes(config: Config) -> Shapes:
    """Every tensor of MobileNetV2Model."""
    channels = [_channels(config, wanted * config["depth_multiplier"]) for wanted in CHANNELS]
    stem = _channels(config, 32 * config["depth_multiplier"])
    found = {
        **convolution("conv_stem.first_conv", config["num_channels"], stem, 3),
        **({} if config["first_layer_is_expansion"] else convolution("conv_stem.expand_1x1", stem, stem, 1)),
        **convolution("conv_stem.conv_3x3", 1, stem, 3),
        **convolution("conv_stem.reduce_1x1", stem, channels[0], 1),
        **convolution("conv_1x1", channels[-1], width(config), 1),
    }
    for i, (inputs, outputs) in enumerate(pairwise(channels)):
        inner = _channels(config, inputs * config["expand_ratio"])
        found |= convolution(f"layer.{i}.expand_1x1", inputs, inner, 1)
        found |= convolution(f"layer.{i}.conv_3x3", 1, inner, 3)
        found |= convolution(f"layer.{i}.reduce_1x1", inner, outputs, 1)
    return found


def mistakes(config: Config) -> Iterator[Mistake]:
    """Values that shapes of tensors do not show to be wrong."""
    if config["depth_multiplier"] <= 0:
        yield "depth_multiplier", "it is a share of channels, above 0"


FAMILY = Family(
    modality="image",
    provides=frozenset({"pooled"}),
    prefix="mobilenet_v2.",
    omitted=(r"(?!(conv_stem|layer|conv_1x1)\.)",),  # other names are a head's
    buffers=resnet.FAMILY.buffers,
    parts={"stem": r"conv_stem\.", "stages": r"layer\.(\d+)\."},
    norms=resnet.FAMILY.norms,
    kinds={"convolution": r"(first_conv|\w+_1x1)\.convolution$"},  # `conv_3x3` is depthwise
    target=("convolution",),
    convolves=True,
    shapes=shapes,
    mistakes=mistakes,
    width=width,
    longest=resnet.longest,
    inputs=("pixel_values",),
    pooled=resnet.pooled,
    maps=Maps(levels=levels, of=maps),
)
