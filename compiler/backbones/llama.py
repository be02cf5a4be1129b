"""Llama: a transformer decoder with rotary positions (Touvron et al., 2023, arXiv:2302.13971).

The norm after the last layer is in no part: it stays with whatever is trained on top.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import gpt2

MODALITY = gpt2.MODALITY
PROVIDES = gpt2.PROVIDES
PREFIX = "model."
OMITTED: tuple[str, ...] = (r"(?!(embed_tokens|layers|norm)\.)", r".*rotary_emb\.inv_freq$")
BUFFERS: tuple[str, ...] = ()
RENAMED: Mapping[str, str] = {}
PARTS: Mapping[str, str] = {"embeddings": r"embed_tokens\.", "layers": r"layers\.(\d+)\."}
NORMS = r"(^|_)?norm\.weight$"
KINDS: Mapping[str, str] = {
    "query": r"self_attn\.q_proj$",
    "key": r"self_attn\.k_proj$",
    "value": r"self_attn\.v_proj$",
    "attention": r"self_attn\.[qkvo]_proj$",
    "mlp": r"mlp\.(gate|up|down)_proj$",
    "attention-output": r"self_attn\.o_proj$",
    "mlp-output": r"mlp\.down_proj$",
    "all-linear": r"(self_attn\.[qkvo]|mlp\.(gate|up|down))_proj$",
}
TARGET: tuple[str, ...] = ("query", "value")
INPUTS = gpt2.INPUTS
LOAD: Mapping[str, Any] = {}
WORDS = "embed_tokens.weight"
TIED = gpt2.TIED
TIES = False

language_model = gpt2.language_model
ready = gpt2.ready


def width(config: Mapping[str, Any]) -> int:
    """The size of a token's state."""
    return int(config.get("hidden_size", 4096))


def longest(config: Mapping[str, Any]) -> int:
    """Rotary positions reach further, but no model has learned there."""
    return int(config.get("max_position_embeddings", 2048))


def cache(config: Mapping[str, Any]) -> tuple[int, int, int]:
    """Layers, heads that keys and values have, and their size, as past key values have them."""
    heads = int(config.get("num_attention_heads", 32))
    size = int(config.get("head_dim") or width(config) // heads)
    return int(config.get("num_hidden_layers", 32)), int(config.get("num_key_value_heads") or heads), size
