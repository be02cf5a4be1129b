"""GPT-NeoX: attention and feed-forward side by side, positions in a part of a head (Black et al., 2022, arXiv:2204.06745).

Pythia is of this family. One layer makes queries, keys and values. The layer norm after the last layer is in no part: it
learns with the head.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..contracts.backbone import Config, Family, LanguageModel, Mistake
from . import gpt2
from ._shapes import Shapes, linear, norm, stack, undivided


def width(config: Config) -> int:
    """The width of a token's state."""
    return int(config.get("hidden_size", 6144))


def longest(config: Config) -> int:
    """The trained positions; rotary positions reach further, but were not trained there."""
    return int(config.get("max_position_embeddings", 2048))


def cache(config: Config) -> tuple[int, int, int]:
    """(layers, heads, size of a head) of past key values."""
    heads = int(config.get("num_attention_heads", 64))
    return int(config.get("num_hidden_layers", 44)), heads, width(config) // heads


def shapes(config: Config) -> Shapes:
    """Every tensor of GPTNeoXModel."""
    width, inner, bias = config["hidden_size"], config["intermediate_size"], config["attention_bias"]
    layer = {
        **norm("input_layernorm", width),
        **norm("post_attention_layernorm", width),
        **linear("attention.query_key_value", width, 3 * width, bias),
        **linear("attention.dense", width, width, bias),
        **linear("mlp.dense_h_to_4h", width, inner),
        **linear("mlp.dense_4h_to_h", inner, width),
    }
    stacked = stack("layers", config["num_hidden_layers"], layer)
    return {"embed_in.weight": (config["vocab_size"], width), **stacked, **norm("final_layer_norm", width)}


def mistakes(config: Config) -> Iterator[Mistake]:
    """Values that shapes of tensors do not show to be wrong."""
    yield from undivided(config, "hidden_size", "num_attention_heads")


FAMILY = Family(
    modality="text",
    provides=gpt2.FAMILY.provides,
    prefix="gpt_neox.",
    omitted=(
        *(r"(?!(embed_in|layers|final_layer_norm)\.)", r"layers\.\d+\.attention\.(masked_)?bias$"),
        r".*rotary_emb\.inv_freq$",
    ),
    renamed={r"^embed_out\.": "lm_head."},
    parts={"embeddings": r"embed_in\.", "layers": r"layers\.(\d+)\."},
    bare={"embeddings": ("emb_dropout",)},
    norms=r"(layernorm|layer_norm)\.(weight|bias)$",
    words="embed_in.weight",
    kinds={
        "qkv": r"attention\.query_key_value$",
        "attention": r"attention\.(query_key_value|dense)$",
        "mlp": r"mlp\.dense_(h_to_4h|4h_to_h)$",
        "attention-output": r"attention\.dense$",
        "mlp-output": r"mlp\.dense_4h_to_h$",
        "all-linear": r"(attention\.(query_key_value|dense)|mlp\.dense_(h_to_4h|4h_to_h))$",
    },
    target=("qkv",),
    shapes=shapes,
    mistakes=mistakes,
    width=width,
    longest=longest,
    cache=cache,
    language_model=LanguageModel(tensors=gpt2.language_model, tied=("lm_head.weight",), is_tied=False),
    ready=gpt2.ready,
    inputs=("input_ids", "attention_mask"),
)
