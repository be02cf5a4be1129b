"""Qwen3: Qwen2 with norms on queries and keys instead of biases (Yang et al., 2025, arXiv:2505.09388)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import llama, qwen2

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
language_model = llama.language_model
ready = llama.ready
width = llama.width


def cache(config: Mapping[str, Any]) -> tuple[int, int, int]:
    """Layers, heads that keys and values have, and their size, which the configuration states."""
    return llama.cache({"head_dim": 128, **config})
