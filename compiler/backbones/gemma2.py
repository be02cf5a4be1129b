"""Gemma 2: Gemma with norms around each layer, capped logits, and a window in every other layer.

Gemma Team, 2024, arXiv:2408.00118.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ..contracts.backbone import Config, Mistake
from . import gemma, llama
from ._shapes import Shapes, mixed, norm, stack

SIZES = {"num_hidden_layers": 26, "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256}


def width(config: Config) -> int:
    """The width of a token's state."""
    return int(config.get("hidden_size", 2304))


def cache(config: Config) -> tuple[int, int, int]:
    """(layers, heads of keys and values, size of a head) of past key values."""
    return llama.cache({**SIZES, **config})


def shapes(config: Config) -> Shapes:
    """Every tensor of Gemma2Model."""
    width = config["hidden_size"]
    around = {
        **norm("pre_feedforward_layernorm", width, bias=False),
        **norm("post_feedforward_layernorm", width, bias=False),
    }
    return {**gemma.shapes(config), **stack("layers", config["num_hidden_layers"], around)}


def mistakes(config: Config) -> Iterator[Mistake]:
    """Values that shapes of tensors do not show to be wrong."""
    yield from llama.mistakes(config)
    yield from gemma.causal(config)
    yield from mixed(config, usual=("sliding_attention",))


FAMILY = replace(gemma.FAMILY, shapes=shapes, mistakes=mistakes, width=width, cache=cache)
