"""Qwen3: Qwen2 with norms on queries and keys instead of biases (Yang et al., 2025, arXiv:2505.09388)."""

from __future__ import annotations

from dataclasses import replace

from ..contracts.backbone import Config
from . import llama, qwen2
from ._shapes import Shapes, norm, stack


def cache(config: Config) -> tuple[int, int, int]:
    """(layers, heads of keys and values, size of a head) of past key values."""
    return llama.cache({"head_dim": 128, **config})


def shapes(config: Config) -> Shapes:
    """Every tensor of Qwen3Model."""
    bias = config["attention_bias"]
    halves = {
        **norm("self_attn.q_norm", config["head_dim"], False),
        **norm("self_attn.k_norm", config["head_dim"], False),
    }
    return {**llama.decoder(config, bias, bias, False), **stack("layers", config["num_hidden_layers"], halves)}


FAMILY = replace(qwen2.FAMILY, shapes=shapes, cache=cache)
