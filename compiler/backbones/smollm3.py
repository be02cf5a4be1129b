"""SmolLM3: Llama's layers, of which every fourth has no positions (Bakouch et al., 2025)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ..contracts.backbone import Config, LanguageModel, Mistake
from . import gpt2, llama
from ._shapes import mixed

SIZES = {"hidden_size": 2048, "num_hidden_layers": 36, "num_attention_heads": 16, "num_key_value_heads": 4}


def width(config: Config) -> int:
    """The width of a token's state."""
    return int(config.get("hidden_size", 2048))


def longest(config: Config) -> int:
    """The trained positions; rotary positions reach further, but were not trained there."""
    return int(config.get("max_position_embeddings", 32768))


def cache(config: Config) -> tuple[int, int, int]:
    """(layers, heads of keys and values, size of a head) of past key values."""
    return llama.cache({**SIZES, **config})


def mistakes(config: Config) -> Iterator[Mistake]:
    """Values that shapes of tensors do not show to be wrong."""
    yield from llama.grouped(config)
    yield from mixed(config)
    turned, layers = config.get("no_rope_layers"), config["num_hidden_layers"]
    if turned is not None and len(turned) < layers:
        yield "no_rope_layers", f"{len(turned)} entries for {layers} layers"


FAMILY = replace(
    llama.FAMILY,
    mistakes=mistakes,
    width=width,
    longest=longest,
    cache=cache,
    language_model=LanguageModel(tensors=gpt2.language_model, tied=("lm_head.weight",)),
)
