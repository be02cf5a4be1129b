"""ConvNeXt: a convolutional network built after vision transformers (Liu et al., 2022, arXiv:2201.03545).

The layer norm of the pooled vector is in no part: it stays with whatever is trained on top.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import resnet

MODALITY = resnet.MODALITY
PROVIDES = resnet.PROVIDES
PREFIX = "convnext."
OMITTED: tuple[str, ...] = (r"(?!(embeddings|encoder|layernorm)\.)",)  # whatever lies outside is a head
BUFFERS: tuple[str, ...] = ()
RENAMED: Mapping[str, str] = {}
PARTS: Mapping[str, str] = {"stem": r"embeddings\.", "stages": r"encoder\.stages\.(\d+)\."}
NORMS = r"(layernorm|downsampling_layer\.0)\.(weight|bias)$"
KINDS: Mapping[str, str] = {
    "convolution": r"(patch_embeddings|downsampling_layer\.1)$",  # `dwconv` is depthwise
    "mlp": r"pwconv[12]$",
    "all-linear": r"pwconv[12]$",
}
TARGET: tuple[str, ...] = ("mlp",)
INPUTS = resnet.INPUTS
LOAD: Mapping[str, Any] = {}

longest = resnet.longest
pooled = resnet.pooled


def width(config: Mapping[str, Any]) -> int:
    """The channels of the last stage."""
    return int(config.get("hidden_sizes", (96, 192, 384, 768))[-1])
