"""BERT: a transformer encoder over words, positions and segments (Devlin et al., 2018, arXiv:1810.04805)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ._shapes import Mistake, Shapes, linear, norm, stack, undivided

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


def shapes(config: Mapping[str, Any]) -> Shapes:
    """Every tensor of BertModel without its pooler."""
    return {**words(config, config["hidden_size"]), **layers(config)}


def words(config: Mapping[str, Any], width: int) -> Shapes:
    """The embeddings, of which ELECTRA's are narrower than its layers."""
    return {
        "embeddings.word_embeddings.weight": (config["vocab_size"], width),
        "embeddings.position_embeddings.weight": (config["max_position_embeddings"], width),
        "embeddings.token_type_embeddings.weight": (config["type_vocab_size"], width),
        **norm("embeddings.LayerNorm", width),
    }


def layers(config: Mapping[str, Any]) -> Shapes:
    """The stack; that of a decoder may attend to another text too."""
    width, inner = config["hidden_size"], config["intermediate_size"]
    layer = {
        **_attention("attention", width),
        **(_attention("crossattention", width) if config.get("add_cross_attention") else {}),
        **linear("intermediate.dense", width, inner),
        **linear("output.dense", inner, width),
        **norm("output.LayerNorm", width),
    }
    return stack("encoder.layer", config["num_hidden_layers"], layer)


def _attention(name: str, width: int) -> Shapes:
    found = {**linear(f"{name}.output.dense", width, width), **norm(f"{name}.output.LayerNorm", width)}
    for part in ("query", "key", "value"):
        found |= linear(f"{name}.self.{part}", width, width)
    return found


def mistakes(config: Mapping[str, Any]) -> Iterator[Mistake]:
    """What no tensor's shape shows."""
    yield from undivided(config, "hidden_size", "num_attention_heads")
    if config.get("add_cross_attention") and not config.get("is_decoder"):
        yield "add_cross_attention", "only a decoder attends to another text: `is_decoder` is false"
