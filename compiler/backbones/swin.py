"""Swin: attention in shifted windows, its stages halving the resolution (Liu et al., 2021, arXiv:2103.14030).

`stages` are the modules `encoder.layers`: the paper and config.json call them so, for blocks lie within.
The layer norm after the last stage is in no part: it stays with whatever is trained on top.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import resnet

MODALITY = resnet.MODALITY
PROVIDES = resnet.PROVIDES
PREFIX = "swin."
OMITTED: tuple[str, ...] = (
    r"(?!(embeddings|encoder|layernorm)\.)",  # whatever lies outside is a head
    r"embeddings\.mask_token$",
    r".*\.relative_position_index$",  # computed from the window size since transformers 5
)
BUFFERS: tuple[str, ...] = ()
# transformers 5 reads both layouts and writes the old one, unless it read the new one. The order matters.
RENAMED: Mapping[str, str] = {
    r"attention\.self\.query\.": "attention.q_proj.",
    r"attention\.self\.key\.": "attention.k_proj.",
    r"attention\.self\.value\.": "attention.v_proj.",
    r"attention\.self\.relative_position_bias_table$": (
        "attention.relative_position_bias.relative_position_bias_table"
    ),
    r"attention\.output\.dense\.": "attention.o_proj.",
    r"intermediate\.dense\.": "mlp.fc1.",
    r"output\.dense\.": "mlp.fc2.",
}
PARTS: Mapping[str, str] = {"embeddings": r"embeddings\.", "stages": r"encoder\.layers\.(\d+)\."}
NORMS = r"(norm|layernorm(_before|_after)?)\.(weight|bias)$"
KINDS: Mapping[str, str] = {
    "query": r"attention\.q_proj$",
    "key": r"attention\.k_proj$",
    "value": r"attention\.v_proj$",
    "attention": r"attention\.[qkvo]_proj$",
    "mlp": r"mlp\.fc[12]$",
    "all-linear": r"(attention\.[qkvo]_proj|mlp\.fc[12]|downsample\.reduction)$",
}
TARGET: tuple[str, ...] = ("query", "value")
INPUTS = resnet.INPUTS
LOAD: Mapping[str, Any] = {}

longest = resnet.longest
pooled = resnet.pooled


def width(config: Mapping[str, Any]) -> int:
    """The channels of the last stage; each stage doubles them."""
    return int(config.get("embed_dim", 96) * 2 ** (len(config.get("depths", (2, 2, 6, 2))) - 1))
