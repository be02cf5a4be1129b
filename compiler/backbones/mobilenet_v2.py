"""MobileNetV2: inverted residual blocks of depthwise convolutions (Sandler et al., 2018, arXiv:1801.04381).

`stages` are its blocks `layer.0` to `layer.15`, as no name in a checkpoint groups them.
The convolution before pooling, `conv_1x1`, is in no part: it stays with whatever is trained on top.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import resnet

MODALITY = resnet.MODALITY
PROVIDES = resnet.PROVIDES
PREFIX = "mobilenet_v2."
OMITTED: tuple[str, ...] = (r"(?!(conv_stem|layer|conv_1x1)\.)",)  # whatever lies outside is a head
BUFFERS = resnet.BUFFERS
RENAMED: Mapping[str, str] = {}
PARTS: Mapping[str, str] = {"stem": r"conv_stem\.", "stages": r"layer\.(\d+)\."}
NORMS = resnet.NORMS
KINDS: Mapping[str, str] = {"convolution": r"(first_conv|\w+_1x1)\.convolution$"}  # `conv_3x3` is depthwise
TARGET: tuple[str, ...] = ("convolution",)
INPUTS = resnet.INPUTS
LOAD: Mapping[str, Any] = {}

longest = resnet.longest
pooled = resnet.pooled


def width(config: Mapping[str, Any]) -> int:
    """The channels of the last convolution, which a narrow model keeps at 1280 by default."""
    multiplier = config.get("depth_multiplier", 1.0)
    if config.get("finegrained_output", True) and multiplier < 1:
        return 1280
    step = config.get("depth_divisible_by", 8)
    wanted = round(1280 * multiplier)
    channels = max(config.get("min_depth", 8), int(wanted + step / 2) // step * step)
    return int(channels + step if channels < 0.9 * wanted else channels)
