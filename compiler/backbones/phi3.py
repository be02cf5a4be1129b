"""Phi-3: Llama with one layer for queries, keys and values, and one for gate and up (Abdin et al., 2024, arXiv:2404.14219)."""

from __future__ import annotations

from dataclasses import replace

from ..contracts.backbone import Config
from . import llama
from ._shapes import Shapes, linear, norm, stack


def width(config: Config) -> int:
    """The width of a token's state."""
    return int(config.get("hidden_size", 3072))


def longest(config: Config) -> int:
    """The trained positions; rotary positions reach further, but were not trained there."""
    return int(config.get("max_position_embeddings", 4096))


def cache(config: Config) -> tuple[int, int, int]:
    """(layers, heads of keys and values, size of a head) of past key values."""
    return llama.cache({"hidden_size": 3072, **config})


def shapes(config: Config) -> Shapes:
    """Every tensor of Phi3Model."""
    width, inner, size = config["hidden_size"], config["intermediate_size"], llama.head_size(config)
    queries, keys = config["num_attention_heads"] * size, llama.pairs(config) * size
    layer = {
        **linear("self_attn.qkv_proj", width, queries + 2 * keys, False),
        **linear("self_attn.o_proj", queries, width, False),
        **linear("mlp.gate_up_proj", width, 2 * inner, False),
        **linear("mlp.down_proj", inner, width, False),
        **norm("input_layernorm", width, bias=False),
        **norm("post_attention_layernorm", width, bias=False),
    }
    stacked = stack("layers", config["num_hidden_layers"], layer)
    return {"embed_tokens.weight": (config["vocab_size"], width), **stacked, **norm("norm", width, bias=False)}


FAMILY = replace(
    llama.FAMILY,
    kinds={
        "qkv": r"self_attn\.qkv_proj$",
        "attention": r"self_attn\.(qkv|o)_proj$",
        "mlp": r"mlp\.(gate_up|down)_proj$",
        "attention-output": r"self_attn\.o_proj$",
        "mlp-output": r"mlp\.down_proj$",
        "all-linear": r"(self_attn\.(qkv|o)|mlp\.(gate_up|down))_proj$",
    },
    target=("qkv",),
    shapes=shapes,
    mistakes=llama.grouped,
    width=width,
    longest=longest,
    cache=cache,
)
