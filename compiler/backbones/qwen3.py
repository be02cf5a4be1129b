"""Qwen3: Qwen2 with norms on queries and keys instead of biases (Yang et al., 2025, arXiv:2505.09388)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import llama, qwen2
from ._shapes import Shapes, norm, stack

MODALITY = llama.MODALITY
PROVIDES = llama.PROVIDES
PREFIX = llama.PREFIX
OMITTED = llama.OMITTED
BUFFERS = llama.BUFFERS
RENAMED = llama.RENAMED
PARTS = llama.PARTS
NORMS = llama.NORMS
KINDS = llama.KINDS
TARGET = llama.TARGET
INPUTS = llama.INPUTS
LOAD = llama.LOAD
WORDS = llama.WORDS
TIED = llama.TIED
TIES = llama.TIES

longest = qwen2.longest
mistakes = llama.grouped
language_model = llama.language_model
ready = llama.ready
width = llama.width


def cache(config: Mapping[str, Any]) -> tuple[int, int, int]:
    """Layers, heads that keys and values have, and their size, which the configuration states."""
    return llama.cache({"head_dim": 128, **config})


def shapes(config: Mapping[str, Any]) -> Shapes:
    """Every tensor of Qwen3Model."""
    bias = config["attention_bias"]
    halves = {
        **norm("self_attn.q_norm", config["head_dim"], False),
        **norm("self_attn.k_norm", config["head_dim"], False),
    }
    return {**llama.decoder(config, bias, bias, False), **stack("layers", config["num_hidden_layers"], halves)}
