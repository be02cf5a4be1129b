"""ModernBERT: rotary positions, alternating local and global attention (Warner et al., 2024, arXiv:2412.13663).

One projection makes queries, keys and values, so `query`, `key` and `value` are no targets of their own. The layer norm
after the last layer is in no part: it learns with the head.
"""

from __future__ import annotations

from ..contracts.backbone import Config, Family, LanguageModel
from . import bert
from ._shapes import DEEPEST, Shapes, linear, norm, stack


def longest(config: Config) -> int:
    """The trained positions; rotary positions reach further, but were not trained there."""
    return int(config.get("max_position_embeddings", 8192))


def language_model(config: Config) -> dict[str, tuple[str, ...]]:
    """The tensors of ModernBertForMaskedLM's head; config.json tells which parts have biases."""
    biases = {
        "head.dense.bias": ("width",) if config.get("classifier_bias") else None,
        "head.norm.bias": ("width",) if config.get("norm_bias") else None,
        "decoder.bias": ("vocabulary",) if config.get("decoder_bias", True) else None,
    }
    return {
        "head.dense.weight": ("width", "width"),
        "head.norm.weight": ("width",),
        "decoder.weight": ("vocabulary", "width"),
        **{name: shape for name, shape in biases.items() if shape},
    }


def shapes(config: Config) -> Shapes:
    """Every tensor of ModernBertModel; config.json tells which parts have biases."""
    width, inner, is_biased = config["hidden_size"], config["intermediate_size"], config["norm_bias"]
    layer = {
        **linear("attn.Wqkv", width, 3 * width, config["attention_bias"]),
        **linear("attn.Wo", width, width, config["attention_bias"]),
        **norm("mlp_norm", width, is_biased),
        **linear("mlp.Wi", width, 2 * inner, config["mlp_bias"]),
        **linear("mlp.Wo", inner, width, config["mlp_bias"]),
    }
    # the first layer has no norm before attention, only that of the embeddings
    later = range(1, min(config["num_hidden_layers"], DEEPEST))
    return {
        "embeddings.tok_embeddings.weight": (config["vocab_size"], width),
        **norm("embeddings.norm", width, is_biased),
        **stack("layers", config["num_hidden_layers"], layer),
        **{name: shape for i in later for name, shape in norm(f"layers.{i}.attn_norm", width, is_biased).items()},
        **norm("final_norm", width, is_biased),
    }


FAMILY = Family(
    modality="text",
    provides=frozenset({"tokens", "word-embeddings", "masked-language-model"}),
    prefix="model.",
    omitted=(r"(?!(embeddings|layers|final_norm)\.)",),  # other names are a head's
    parts={"embeddings": r"embeddings\.", "layers": r"layers\.(\d+)\."},
    norms=r"norm\.(weight|bias)$",
    words="embeddings.tok_embeddings.weight",
    kinds={
        "attention": r"attn\.(Wqkv|Wo)$",
        "mlp": r"mlp\.(Wi|Wo)$",
        "qkv": r"attn\.Wqkv$",
        "attention-output": r"attn\.Wo$",
        "mlp-output": r"mlp\.Wo$",
        "all-linear": r"(attn|mlp)\.(Wqkv|Wi|Wo)$",
    },
    target=("attention",),
    shapes=shapes,
    mistakes=bert.mistakes,
    width=bert.width,
    longest=longest,
    language_model=LanguageModel(tensors=language_model, tied=("decoder.weight",)),
    inputs=("input_ids", "attention_mask"),
)
