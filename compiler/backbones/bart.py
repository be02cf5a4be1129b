"""BART: an encoder and a decoder with learned positions (Lewis et al., 2019, arXiv:1910.13461)."""

from __future__ import annotations

from collections.abc import Iterator

from ..contracts.backbone import Config, Family, LanguageModel, Mistake
from . import t5
from ._shapes import Shapes, linear, norm, stack, undivided

OFFSET = 2  # rows before the first position, as in fairseq
STACKS = ("encoder", "decoder")


def width(config: Config) -> int:
    """The width of a token's state."""
    return int(config.get("d_model", 1024))


def longest(config: Config) -> int:
    """The number of learned positions, of either stack."""
    return int(config.get("max_position_embeddings", 1024))


def cache(config: Config) -> tuple[int, int, int]:
    """(layers, heads, size of a head) of the decoder's past key values."""
    heads = int(config.get("decoder_attention_heads", 16))
    return int(config.get("decoder_layers", 12)), heads, width(config) // heads


def shapes(config: Config) -> Shapes:
    """Every tensor of BartModel, with the one embedding of both stacks."""
    positions = (config["max_position_embeddings"] + OFFSET, config["d_model"])
    learned = {f"{part}.embed_positions.weight": positions for part in STACKS}
    return {**learned, **norms(config, "layernorm_embedding"), **stacks(config)}


def norms(config: Config, name: str) -> Shapes:
    """A layer norm of either stack."""
    found: Shapes = {}
    for part in STACKS:
        found |= norm(f"{part}.{name}", config["d_model"])
    return found


def stacks(config: Config) -> Shapes:
    """The embedding, and the layers of both stacks."""
    return {
        "shared.weight": (config["vocab_size"], config["d_model"]),
        **stack("encoder.layers", config["encoder_layers"], _layer(config, "encoder", ("self_attn",))),
        **stack("decoder.layers", config["decoder_layers"], _layer(config, "decoder", ("self_attn", "encoder_attn"))),
    }


def _layer(config: Config, part: str, attentions: tuple[str, ...]) -> Shapes:
    width, inner = config["d_model"], config[f"{part}_ffn_dim"]
    found = {**linear("fc1", width, inner), **linear("fc2", inner, width), **norm("final_layer_norm", width)}
    for name in attentions:
        found |= norm(f"{name}_layer_norm", width)
        for each in ("q_proj", "k_proj", "v_proj", "out_proj"):
            found |= linear(f"{name}.{each}", width, width)
    return found


def mistakes(config: Config) -> Iterator[Mistake]:
    """Values that shapes of tensors do not show to be wrong."""
    yield from undivided(config, "d_model", "encoder_attention_heads")
    yield from undivided(config, "d_model", "decoder_attention_heads")


FAMILY = Family(
    modality="text",
    provides=t5.FAMILY.provides,
    prefix="model.",
    omitted=(r"(?!(shared|encoder|decoder)\.)", r"(en|de)coder\.embed_tokens\.weight$"),
    parts={
        "embeddings": r"(?:shared|(?:en|de)coder\.(?:embed_positions|layernorm_embedding))\.",
        "encoder.layers": r"encoder\.layers\.(\d+)\.",
        "decoder.layers": r"decoder\.layers\.(\d+)\.",
    },
    norms=r"layer_?norm(_embedding)?\.(weight|bias)$",
    words="shared.weight",
    kinds={
        "query": r"attn\.q_proj$",
        "key": r"attn\.k_proj$",
        "value": r"attn\.v_proj$",
        "attention": r"attn\.(q|k|v|out)_proj$",
        "mlp": r"\.fc[12]$",
        "attention-output": r"attn\.out_proj$",
        "mlp-output": r"\.fc2$",
        "all-linear": r"(attn\.(q|k|v|out)_proj|\.fc[12])$",
    },
    target=("query", "value"),
    uncacheable=t5.FAMILY.uncacheable,
    shapes=shapes,
    mistakes=mistakes,
    width=width,
    longest=longest,
    cache=cache,
    language_model=LanguageModel(tensors=t5.language_model, tied=("lm_head.weight",)),
    ready=t5.ready,
    inputs=t5.FAMILY.inputs,
)
