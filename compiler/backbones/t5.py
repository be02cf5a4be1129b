"""T5: an encoder and a decoder with relative positions (Raffel et al., 2019, arXiv:1910.10683).

FLAN-T5 and T5 1.1 have gated layers and a language-model head of their own. The norms after the last layers are in no
part: they learn with the head.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..contracts.backbone import Config, Family, LanguageModel, Mistake
from ._shapes import Shapes, linear, norm, stack


def width(config: Config) -> int:
    """The width of a token's state."""
    return int(config.get("d_model", 512))


def longest(config: Config) -> None:
    """No limit: positions are relative."""


def cache(config: Config) -> tuple[int, int, int]:
    """(layers, heads, size of a head) of the decoder's past key values."""
    layers = config.get("num_decoder_layers")
    found = config.get("num_layers", 6) if layers is None else layers
    return int(found), int(config.get("num_heads", 8)), int(config.get("d_kv", 64))


def language_model(config: Config) -> dict[str, tuple[str, ...]]:
    """The tensors of T5ForConditionalGeneration's head: a decoder over the vocabulary."""
    return {"lm_head.weight": ("vocabulary", "width")}


def shapes(config: Config) -> Shapes:
    """Every tensor of T5Model, with the one embedding of both stacks."""
    depths = config["num_layers"], config["num_decoder_layers"]
    encoder = {**_attention(config, 0, "SelfAttention"), **_feed_forward(config, 1)}
    decoder = {
        **_attention(config, 0, "SelfAttention"),
        **_attention(config, 1, "EncDecAttention"),
        **_feed_forward(config, 2),
    }
    return {
        "shared.weight": (config["vocab_size"], config["d_model"]),
        **_stack(config, "encoder", config["num_layers"], encoder),
        **_stack(config, "decoder", depths[0] if depths[1] is None else depths[1], decoder),
    }


def _stack(config: Config, name: str, count: int, layer: Shapes) -> Shapes:
    biases = (config["relative_attention_num_buckets"], config["num_heads"])
    first = {f"{name}.block.0.layer.0.SelfAttention.relative_attention_bias.weight": biases} if count else {}
    layers = stack(f"{name}.block", count, layer)
    return {**layers, **first, **norm(f"{name}.final_layer_norm", config["d_model"], bias=False)}


def _attention(config: Config, at: int, name: str) -> Shapes:
    width, inner = config["d_model"], config["num_heads"] * config["d_kv"]
    found = norm(f"layer.{at}.layer_norm", width, bias=False)
    for part in ("q", "k", "v"):
        found |= linear(f"layer.{at}.{name}.{part}", width, inner, bias=False)
    return found | linear(f"layer.{at}.{name}.o", inner, width, bias=False)


def _feed_forward(config: Config, at: int) -> Shapes:
    width, inner = config["d_model"], config["d_ff"]
    first = ("wi_0", "wi_1") if config["feed_forward_proj"].startswith("gated") else ("wi",)
    found = norm(f"layer.{at}.layer_norm", width, bias=False)
    for part in first:
        found |= linear(f"layer.{at}.DenseReluDense.{part}", width, inner, bias=False)
    return found | linear(f"layer.{at}.DenseReluDense.wo", inner, width, bias=False)


def mistakes(config: Config) -> Iterator[Mistake]:
    """Values that shapes of tensors do not show to be wrong."""
    parts = config["feed_forward_proj"].split("-")
    if len(parts) > 2 or (len(parts) == 2 and parts[0] != "gated"):
        yield "feed_forward_proj", f"`{config['feed_forward_proj']}` is neither an activation nor `gated-` and one"


def ready(module: Any) -> Any:
    """The loaded module, with the embedding under its first name alone."""
    from ..layers.sequences import share_embedding

    return share_embedding(module)


FAMILY = Family(
    modality="text",
    provides=frozenset({"sequence-to-sequence"}),
    prefix="transformer.",
    omitted=(
        r"(?!(shared|encoder|decoder)\.)",
        r"(en|de)coder\.embed_tokens\.weight$",
        r"decoder\.block\.0\.layer\.1\.EncDecAttention\.relative_attention_bias\.weight$",
    ),
    parts={
        "embeddings": r"shared\.",
        "encoder.layers": r"encoder\.block\.(\d+)\.",
        "decoder.layers": r"decoder\.block\.(\d+)\.",
    },
    norms=r"layer_norm\.weight$",
    words="shared.weight",
    kinds={
        "query": r"Attention\.q$",
        "key": r"Attention\.k$",
        "value": r"Attention\.v$",
        "attention": r"Attention\.[qkvo]$",
        "mlp": r"DenseReluDense\.(wi(_[01])?|wo)$",
        "attention-output": r"Attention\.o$",
        "mlp-output": r"DenseReluDense\.wo$",
        "all-linear": r"(Attention\.[qkvo]|DenseReluDense\.(wi(_[01])?|wo))$",
    },
    target=("query", "value"),
    uncacheable="two stacks read one input, and outputs of one are cached at most",
    shapes=shapes,
    mistakes=mistakes,
    width=width,
    longest=longest,
    cache=cache,
    language_model=LanguageModel(tensors=language_model, tied=("lm_head.weight",), is_tied_unless_stored=True),
    ready=ready,
    inputs=("input_ids", "attention_mask", "decoder_input_ids"),
)
