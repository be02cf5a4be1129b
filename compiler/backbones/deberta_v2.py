"""DeBERTa v2 and v3: separate attention to content and relative position (He et al., 2020, arXiv:2006.03654).

`embeddings` includes what all layers share and what lies beneath the second layer: relative positions, their layer
norm, and the convolution of the largest models. Otherwise freezing the lower layers would leave learning tensors
beneath them.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..contracts.backbone import Config, Family, LanguageModel
from . import bert
from ._shapes import Shapes, linear, norm, stack


def width(config: Config) -> int:
    """The width of a token's state."""
    return int(config.get("hidden_size", 1536))


def language_model(config: Config) -> dict[str, tuple[str, ...]]:
    """The tensors of DebertaV2ForMaskedLM's head; the newer of its two forms has the embeddings as decoder."""
    if config.get("legacy", True):
        return bert.language_model(config)
    return {
        "lm_predictions.lm_head.bias": ("vocabulary",),
        "lm_predictions.lm_head.dense.weight": ("width", "width"),
        "lm_predictions.lm_head.dense.bias": ("width",),
        "lm_predictions.lm_head.LayerNorm.weight": ("width",),
        "lm_predictions.lm_head.LayerNorm.bias": ("width",),
    }


def shapes(config: Config) -> Shapes:
    """Every tensor of DebertaV2Model; config.json tells which optional ones there are."""
    width, narrow = config["hidden_size"], config.get("embedding_size", config["hidden_size"])
    found = {"embeddings.word_embeddings.weight": (config["vocab_size"], narrow), **norm("embeddings.LayerNorm", width)}
    if config["position_biased_input"]:
        found["embeddings.position_embeddings.weight"] = (config["max_position_embeddings"], narrow)
    if config["type_vocab_size"] > 0:
        found["embeddings.token_type_embeddings.weight"] = (config["type_vocab_size"], narrow)
    if narrow != width:
        found["embeddings.embed_proj.weight"] = (width, narrow)
    layers = stack("encoder.layer", config["num_hidden_layers"], _layer(config))
    return {**found, **layers, **_relative(config), **_convolution(config)}


def _layer(config: Config) -> Shapes:
    width, inner, heads = config["hidden_size"], config["intermediate_size"], config["num_attention_heads"]
    whole = heads * config.get("attention_head_size", width // heads)
    found = {
        **linear("attention.output.dense", width, width),
        **norm("attention.output.LayerNorm", width),
        **linear("intermediate.dense", width, inner),
        **linear("output.dense", inner, width),
        **norm("output.LayerNorm", width),
    }
    for part in ("query_proj", "key_proj", "value_proj", *_of_positions(config)):
        found |= linear(f"attention.self.{part}", width, whole)
    return found


def _of_positions(config: Config) -> Iterator[str]:
    """Names of projections for relative positions alone."""
    if config["relative_attention"] and not config.get("share_att_key", False):
        kinds = config["pos_att_type"] or ()
        kinds = [kind.strip() for kind in kinds.lower().split("|")] if isinstance(kinds, str) else kinds
        yield from ("pos_key_proj",) if "c2p" in kinds else ()
        yield from ("pos_query_proj",) if "p2c" in kinds else ()


def _relative(config: Config) -> Shapes:
    """The table of relative positions, and its norm."""
    width = config["hidden_size"]
    found: Shapes = {}
    if config["relative_attention"]:
        reach, buckets = config["max_relative_positions"], config.get("position_buckets", -1)
        reach = buckets if buckets > 0 else config["max_position_embeddings"] if reach < 1 else reach
        found["encoder.rel_embeddings.weight"] = (2 * reach, width)
    if "layer_norm" in (word.strip() for word in config.get("norm_rel_ebd", "none").lower().split("|")):
        found |= norm("encoder.LayerNorm", width)
    return found


def _convolution(config: Config) -> Shapes:
    width, size = config["hidden_size"], config.get("conv_kernel_size", 0)
    if size <= 0:
        return {}
    kernel = (width, width // config.get("conv_groups", 1), size)
    at = "encoder.conv"
    return {f"{at}.conv.weight": kernel, f"{at}.conv.bias": (width,), **norm(f"{at}.LayerNorm", width)}


FAMILY = Family(
    modality="text",
    provides=frozenset({"tokens", "word-embeddings", "masked-language-model"}),
    prefix="deberta.",
    omitted=(r"(?!(embeddings|encoder)\.)", r"embeddings\.position_ids$"),
    renamed=bert.FAMILY.renamed,
    parts={
        "embeddings": r"(?:embeddings|encoder\.(?:rel_embeddings|LayerNorm|conv))\.",
        "layers": r"encoder\.layer\.(\d+)\.",
    },
    norms=bert.FAMILY.norms,
    words="embeddings.word_embeddings.weight",
    kinds={
        "query": r"attention\.self\.query_proj$",
        "key": r"attention\.self\.key_proj$",
        "value": r"attention\.self\.value_proj$",
        "attention": r"attention\.(self\.(query|key|value)_proj|output\.dense)$",
        "mlp": r"layer\.\d+\.(intermediate|output)\.dense$",
        "attention-output": r"attention\.output\.dense$",
        "mlp-output": r"layer\.\d+\.output\.dense$",
        "all-linear": r"layer\.\d+\..*(_proj|dense)$",
    },
    target=("query", "value"),
    shapes=shapes,
    mistakes=bert.mistakes,
    width=width,
    longest=bert.longest,  # relative positions reach further, but were not trained there
    language_model=LanguageModel(
        tensors=language_model, tied=("cls.predictions.decoder.weight", "cls.predictions.decoder.bias")
    ),
    inputs=("input_ids", "attention_mask"),  # published models have `type_vocab_size` 0
)
