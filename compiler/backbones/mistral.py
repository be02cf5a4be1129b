"""Mistral: Llama's layers, with fewer key heads and attention to a window (Jiang et al., 2023, arXiv:2310.06825)."""

from __future__ import annotations

from dataclasses import replace

from ..contracts.backbone import Config
from . import llama
from ._shapes import Shapes


def longest(config: Config) -> int:
    """The trained positions; rotary positions reach further, but were not trained there."""
    return int(config.get("max_position_embeddings", 131072))


def cache(config: Config) -> tuple[int, int, int]:
    """(layers, heads of keys and values, size of a head) of past key values."""
    return llama.cache({"num_key_value_heads": 8, **config})


def shapes(config: Config) -> Shapes:
    """Every tensor of MistralModel."""
    return llama.decoder(config, qkv=False, output=False, mlp=False)


FAMILY = replace(llama.FAMILY, shapes=shapes, mistakes=llama.grouped, longest=longest, cache=cache)
