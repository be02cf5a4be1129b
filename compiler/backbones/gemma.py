"""Gemma: Llama's layers with scaled embeddings and wide heads (Gemma Team, 2024, arXiv:2403.08295)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ..contracts.backbone import Config, LanguageModel, Mistake
from . import gpt2, llama
from ._shapes import Shapes

SIZES = {"num_hidden_layers": 28, "num_attention_heads": 16, "num_key_value_heads": 16, "head_dim": 256}


def width(config: Config) -> int:
    """The width of a token's state."""
    return int(config.get("hidden_size", 3072))


def longest(config: Config) -> int:
    """The trained positions; rotary positions reach further, but were not trained there."""
    return int(config.get("max_position_embeddings", 8192))


def cache(config: Config) -> tuple[int, int, int]:
    """(layers, heads of keys and values, size of a head) of past key values."""
    return llama.cache({**SIZES, **config})


def shapes(config: Config) -> Shapes:
    """Every tensor of GemmaModel."""
    bias = config["attention_bias"]
    return llama.decoder(config, qkv=bias, output=bias, mlp=False)


def mistakes(config: Config) -> Iterator[Mistake]:
    """Values that shapes of tensors do not show to be wrong."""
    yield from llama.grouped(config)
    yield from causal(config)


def causal(config: Config) -> Iterator[Mistake]:
    """A mistake where tokens see later ones, as those of an encoder do."""
    if config.get("use_bidirectional_attention"):
        yield "use_bidirectional_attention", "tokens that see later ones can't be written one after the other"


FAMILY = replace(
    llama.FAMILY,
    shapes=shapes,
    mistakes=mistakes,
    width=width,
    longest=longest,
    cache=cache,
    language_model=LanguageModel(tensors=gpt2.language_model, tied=("lm_head.weight",)),
)
