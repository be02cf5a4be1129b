"""StableLM: Llama's layers with layer norms, and positions in a part of a head (Bellagente et al., 2024, arXiv:2402.17834)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ..contracts.backbone import Config, Mistake
from . import llama
from ._shapes import Shapes, norm, stack, undivided


def width(config: Config) -> int:
    """The width of a token's state."""
    return int(config.get("hidden_size", 2560))


def longest(config: Config) -> int:
    """The trained positions; rotary positions reach further, but were not trained there."""
    return int(config.get("max_position_embeddings", 4096))


def cache(config: Config) -> tuple[int, int, int]:
    """(layers, heads of keys and values, size of a head) of past key values."""
    return llama.cache({"hidden_size": 2560, "num_key_value_heads": 32, **config, "head_dim": None})


def shapes(config: Config) -> Shapes:
    """Every tensor of StableLmModel."""
    width, layers = config["hidden_size"], config["num_hidden_layers"]
    config = {**config, "head_dim": None}  # it reads none
    layer = norm("input_layernorm", width)
    if not config["use_parallel_residual"]:
        layer |= norm("post_attention_layernorm", width)
    if config["qk_layernorm"]:
        size, several = llama.head_size(config), {"q": config["num_attention_heads"], "k": llama.pairs(config)}
        for each, heads in several.items():
            layer |= stack(f"self_attn.{each}_layernorm.norms", heads, {"weight": (size,)})
    plain = llama.decoder(config, qkv=config["use_qkv_bias"], output=False, mlp=False)
    kept = {name: shape for name, shape in plain.items() if "layernorm" not in name}
    return {**kept, **stack("layers", layers, layer), **norm("norm", width)}


def mistakes(config: Config) -> Iterator[Mistake]:
    """Values that shapes of tensors do not show to be wrong."""
    yield from undivided(config, "hidden_size", "num_attention_heads")
    yield from llama.grouped({**config, "head_dim": None})


FAMILY = replace(
    llama.FAMILY,
    norms=r"((^|\.)norm|layernorm|layernorm\.norms\.\d+)\.(weight|bias)$",
    shapes=shapes,
    mistakes=mistakes,
    width=width,
    longest=longest,
    cache=cache,
)
