"""DistilBERT: BERT with half the layers, without segments (Sanh et al., 2019, arXiv:1910.01108)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from . import bert
from ._shapes import Mistake, Shapes, linear, norm, stack, undivided

MODALITY = bert.MODALITY
PROVIDES = frozenset({"tokens", "word-embeddings", "masked-language-model"})
PREFIX = "distilbert."
OMITTED: tuple[str, ...] = (r"(?!(embeddings|transformer)\.)", r"embeddings\.position_ids$")
BUFFERS = bert.BUFFERS
RENAMED = bert.RENAMED
PARTS: Mapping[str, str] = {"embeddings": r"embeddings\.", "layers": r"transformer\.layer\.(\d+)\."}
NORMS = r"(LayerNorm|_layer_norm)\.(weight|bias)$"
KINDS: Mapping[str, str] = {
    "query": r"attention\.q_lin$",
    "key": r"attention\.k_lin$",
    "value": r"attention\.v_lin$",
    "attention": r"attention\.(q|k|v|out)_lin$",
    "mlp": r"ffn\.lin[12]$",
    "attention-output": r"attention\.out_lin$",
    "mlp-output": r"ffn\.lin2$",
    "all-linear": r"(attention\.(q|k|v|out)_lin|ffn\.lin[12])$",
}
TARGET = bert.TARGET
INPUTS: tuple[str, ...] = ("input_ids", "attention_mask")
LOAD: Mapping[str, Any] = {}
WORDS = bert.WORDS
TIED: tuple[str, ...] = ("vocab_projector.weight",)
TIES = bert.TIES

longest = bert.longest


def width(config: Mapping[str, Any]) -> int:
    """The size of a token's state, which this family calls `dim`."""
    return int(config.get("dim", 768))


def language_model(config: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """The tensors of DistilBertForMaskedLM's head."""
    return {
        "vocab_transform.weight": ("width", "width"),
        "vocab_transform.bias": ("width",),
        "vocab_layer_norm.weight": ("width",),
        "vocab_layer_norm.bias": ("width",),
        "vocab_projector.weight": ("vocabulary", "width"),
        "vocab_projector.bias": ("vocabulary",),
    }


def shapes(config: Mapping[str, Any]) -> Shapes:
    """Every tensor of DistilBertModel."""
    width, inner = config["dim"], config["hidden_dim"]
    layer = {
        **norm("sa_layer_norm", width),
        **linear("ffn.lin1", width, inner),
        **linear("ffn.lin2", inner, width),
        **norm("output_layer_norm", width),
    }
    for part in "q", "k", "v", "out":
        layer |= linear(f"attention.{part}_lin", width, width)
    return {
        "embeddings.word_embeddings.weight": (config["vocab_size"], width),
        "embeddings.position_embeddings.weight": (config["max_position_embeddings"], width),
        **norm("embeddings.LayerNorm", width),
        **stack("transformer.layer", config["n_layers"], layer),
    }


def mistakes(config: Mapping[str, Any]) -> Iterator[Mistake]:
    """What no tensor's shape shows."""
    yield from undivided(config, "dim", "n_heads")
