"""Qwen2: Llama's layers, with biases on queries, keys and values (Yang et al., 2024, arXiv:2407.10671)."""

from __future__ import annotations

from dataclasses import replace

from ..contracts.backbone import Config
from . import llama
from ._shapes import Shapes


def longest(config: Config) -> int:
    """The trained positions; rotary positions reach further, but were not trained there."""
    return int(config.get("max_position_embeddings", 32768))


def shapes(config: Config) -> Shapes:
    """Every tensor of Qwen2Model."""
    return llama.decoder(config, qkv=True, output=False, mlp=False)


FAMILY = replace(llama.FAMILY, shapes=shapes, mistakes=llama.grouped, longest=longest)
