"""Gemma 3, its text model: Gemma 2 with norms on queries and keys, and positions of their own within windows.

Gemma Team, 2025, arXiv:2503.19786.
"""

from __future__ import annotations

from dataclasses import replace

from ..contracts.backbone import Config
from . import gemma2
from ._shapes import Shapes, norm, stack


def longest(config: Config) -> int:
    """The trained positions; rotary positions reach further, but were not trained there."""
    return int(config.get("max_position_embeddings", 131072))


def shapes(config: Config) -> Shapes:
    """Every tensor of Gemma3TextModel."""
    halves = {
        **norm("self_attn.q_norm", config["head_dim"], False),
        **norm("self_attn.k_norm", config["head_dim"], False),
    }
    return {**gemma2.shapes(config), **stack("layers", config["num_hidden_layers"], halves)}


FAMILY = replace(gemma2.FAMILY, shapes=shapes, longest=longest)
