"""ALBERT: BERT whose layers share their weights (Lan et al., 2019, arXiv:1909.11942).

All layers have one set of weights, so `layers` is a stack of the groups of layers, usually one. The projection from the
width of an embedding to that of a state belongs to `embeddings`.
"""

from __future__ import annotations

from ..contracts.backbone import Config, Family, LanguageModel
from . import bert
from ._shapes import Shapes, linear, norm, stack


def width(config: Config) -> int:
    """The width of a token's state."""
    return int(config.get("hidden_size", 4096))


def language_model(config: Config) -> dict[str, tuple[str, ...]]:
    """The tensors of AlbertForMaskedLM's head."""
    return {
        "predictions.bias": ("vocabulary",),
        "predictions.dense.weight": ("embedding", "width"),
        "predictions.dense.bias": ("embedding",),
        "predictions.LayerNorm.weight": ("embedding",),
        "predictions.LayerNorm.bias": ("embedding",),
        "predictions.decoder.weight": ("vocabulary", "embedding"),
        "predictions.decoder.bias": ("vocabulary",),
    }


def shapes(config: Config) -> Shapes:
    """Every tensor of AlbertModel without its pooler."""
    width, inner, narrow = config["hidden_size"], config["intermediate_size"], config["embedding_size"]
    layer = {
        **norm("full_layer_layer_norm", width),
        **norm("attention.LayerNorm", width),
        **linear("ffn", width, inner),
        **linear("ffn_output", inner, width),
    }
    for part in ("query", "key", "value", "dense"):
        layer |= linear(f"attention.{part}", width, width)
    group = stack("albert_layers", config["inner_group_num"], layer)
    return {
        **bert.words(config, narrow),
        **linear("encoder.embedding_hidden_mapping_in", narrow, width),
        **stack("encoder.albert_layer_groups", config["num_hidden_groups"], group),
    }


FAMILY = Family(
    modality="text",
    provides=frozenset({"tokens", "word-embeddings", "masked-language-model"}),
    prefix="albert.",
    omitted=(r"(?!(embeddings|encoder)\.)", r"embeddings\.(position|token_type)_ids$"),
    renamed=bert.FAMILY.renamed,
    parts={
        "embeddings": r"(?:embeddings|encoder\.embedding_hidden_mapping_in)\.",
        "layers": r"encoder\.albert_layer_groups\.(\d+)\.",
    },
    norms=r"(LayerNorm|full_layer_layer_norm)\.(weight|bias)$",
    words="embeddings.word_embeddings.weight",
    kinds={
        "query": r"attention\.query$",
        "key": r"attention\.key$",
        "value": r"attention\.value$",
        "attention": r"attention\.(query|key|value|dense)$",
        "mlp": r"\.ffn(_output)?$",
        "attention-output": r"attention\.dense$",
        "mlp-output": r"\.ffn_output$",
        "all-linear": r"(attention\.(query|key|value|dense)|\.ffn(_output)?)$",
    },
    target=("query", "value"),
    uncacheable="its layers share one set of weights",
    shapes=shapes,
    mistakes=bert.mistakes,
    width=width,
    longest=bert.longest,
    language_model=LanguageModel(
        tensors=language_model, tied=("predictions.decoder.weight", "predictions.decoder.bias")
    ),
    load={"add_pooling_layer": False},
    inputs=("input_ids", "attention_mask", "token_type_ids"),
)
