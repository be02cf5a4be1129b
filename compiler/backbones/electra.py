"""ELECTRA: BERT that learned to spot replaced words (Clark et al., 2020, arXiv:2003.10555)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import bert
from ._shapes import Shapes, linear

MODALITY = bert.MODALITY
PROVIDES = bert.PROVIDES
PREFIX = "electra."
OMITTED: tuple[str, ...] = (
    r"(?!(embeddings|embeddings_project|encoder)\.)",  # whatever lies outside is a head
    r"embeddings\.(position|token_type)_ids$",
)
BUFFERS = bert.BUFFERS
RENAMED = bert.RENAMED
# The projection to the layers' width is there only where the two widths differ.
PARTS: Mapping[str, str] = {"embeddings": r"embeddings(?:_project)?\.", "layers": r"encoder\.layer\.(\d+)\."}
NORMS = bert.NORMS
KINDS = bert.KINDS
TARGET = bert.TARGET
INPUTS = bert.INPUTS
LOAD: Mapping[str, Any] = {}
WORDS = bert.WORDS
TIED: tuple[str, ...] = ("generator_lm_head.weight",)
TIES = bert.TIES

longest = bert.longest
mistakes = bert.mistakes


def width(config: Mapping[str, Any]) -> int:
    """The size of a token's state."""
    return int(config.get("hidden_size", 256))


def cache(config: Mapping[str, Any]) -> tuple[int, int, int]:
    """Layers, heads and size of a head, as past key values have them."""
    return bert.cache({**config, "hidden_size": width(config)})


def language_model(config: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """The tensors of ElectraForMaskedLM's head, which checkpoints of generators have."""
    return {
        "generator_predictions.dense.weight": ("embedding", "width"),
        "generator_predictions.dense.bias": ("embedding",),
        "generator_predictions.LayerNorm.weight": ("embedding",),
        "generator_predictions.LayerNorm.bias": ("embedding",),
        "generator_lm_head.weight": ("vocabulary", "embedding"),
        "generator_lm_head.bias": ("vocabulary",),
    }


def shapes(config: Mapping[str, Any]) -> Shapes:
    """Every tensor of ElectraModel; the projection is there only where the two widths differ."""
    narrow, width = config["embedding_size"], config["hidden_size"]
    between = linear("embeddings_project", narrow, width) if narrow != width else {}
    return {**bert.words(config, narrow), **between, **bert.layers(config)}
