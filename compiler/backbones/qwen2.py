"""Qwen2: Llama's layers, with biases on queries, keys and values (Yang et al., 2024, arXiv:2407.10671)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import llama
from ._shapes import Shapes

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

cache = llama.cache
mistakes = llama.grouped
language_model = llama.language_model
ready = llama.ready
width = llama.width


def longest(config: Mapping[str, Any]) -> int:
    """Rotary positions reach further, but no model has learned there."""
    return int(config.get("max_position_embeddings", 32768))


def shapes(config: Mapping[str, Any]) -> Shapes:
    """Every tensor of Qwen2Model."""
    return llama.decoder(config, qkv=True, output=False, mlp=False)
