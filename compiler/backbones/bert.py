"""BERT: a transformer encoder over words, positions and segments (Devlin et al., 2018, arXiv:1810.04805)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MODALITY = "text"
PROVIDES = frozenset({"tokens", "word-embeddings", "past-key-values", "masked-language-model"})
PREFIX = "bert."
# Whatever lies outside the two parts is a head or the pooler. Old checkpoints carry the position ids too.
OMITTED: tuple[str, ...] = (r"(?!(embeddings|encoder)\.)", r"embeddings\.(position|token_type)_ids$")
BUFFERS: tuple[str, ...] = ()
RENAMED: Mapping[str, str] = {r"LayerNorm\.gamma$": "LayerNorm.weight", r"LayerNorm\.beta$": "LayerNorm.bias"}
PARTS: Mapping[str, str] = {"embeddings": r"embeddings\.", "layers": r"encoder\.layer\.(\d+)\."}
NORMS = r"LayerNorm\.(weight|bias)$"
KINDS: Mapping[str, str] = {
    "query": r"attention\.self\.query$",
    "key": r"attention\.self\.key$",
    "value": r"attention\.self\.value$",
    "attention": r"attention\.(self\.(query|key|value)|output\.dense)$",
    "mlp": r"layer\.\d+\.(intermediate|output)\.dense$",
    "attention-output": r"attention\.output\.dense$",
    "mlp-output": r"layer\.\d+\.output\.dense$",
    "all-linear": r"layer\.\d+\..*(query|key|value|dense)$",
}
TARGET: tuple[str, ...] = ("query", "value")
INPUTS: tuple[str, ...] = ("input_ids", "attention_mask", "token_type_ids")
LOAD: Mapping[str, Any] = {"add_pooling_layer": False}
WORDS = "embeddings.word_embeddings.weight"
TIED: tuple[str, ...] = ("cls.predictions.decoder.weight", "cls.predictions.decoder.bias")
TIES = True


def width(config: Mapping[str, Any]) -> int:
    """The size of a token's state."""
    return int(config.get("hidden_size", 768))


def longest(config: Mapping[str, Any]) -> int:
    """As many tokens as there are learned positions."""
    return int(config.get("max_position_embeddings", 512))


def cache(config: Mapping[str, Any]) -> tuple[int, int, int]:
    """Layers, heads and size of a head, as past key values have them."""
    heads = int(config.get("num_attention_heads", 12))
    return int(config.get("num_hidden_layers", 12)), heads, width(config) // heads


def language_model(config: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """The tensors of BertForMaskedLM's head: a layer, its norm, and a decoder over words."""
    return {
        "cls.predictions.bias": ("vocabulary",),
        "cls.predictions.transform.dense.weight": ("width", "width"),
        "cls.predictions.transform.dense.bias": ("width",),
        "cls.predictions.transform.LayerNorm.weight": ("width",),
        "cls.predictions.transform.LayerNorm.bias": ("width",),
        "cls.predictions.decoder.weight": ("vocabulary", "width"),
        "cls.predictions.decoder.bias": ("vocabulary",),
    }
