"""DeBERTa v2 and v3: content and relative position attend apart (He et al., 2020, arXiv:2006.03654).

`embeddings` takes in what all layers share or what sits beneath the second one: the relative positions, their
layer norm and the convolution of the largest models. Freezing the lower layers would otherwise leave learning
tensors beneath them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import bert

MODALITY = bert.MODALITY
PROVIDES = frozenset({"tokens", "word-embeddings", "masked-language-model"})
PREFIX = "deberta."
OMITTED: tuple[str, ...] = (r"(?!(embeddings|encoder)\.)", r"embeddings\.position_ids$")
BUFFERS = bert.BUFFERS
RENAMED = bert.RENAMED
PARTS: Mapping[str, str] = {
    "embeddings": r"(?:embeddings|encoder\.(?:rel_embeddings|LayerNorm|conv))\.",
    "layers": r"encoder\.layer\.(\d+)\.",
}
NORMS = bert.NORMS
KINDS: Mapping[str, str] = {
    "query": r"attention\.self\.query_proj$",
    "key": r"attention\.self\.key_proj$",
    "value": r"attention\.self\.value_proj$",
    "attention": r"attention\.(self\.(query|key|value)_proj|output\.dense)$",
    "mlp": r"layer\.\d+\.(intermediate|output)\.dense$",
    "attention-output": r"attention\.output\.dense$",
    "mlp-output": r"layer\.\d+\.output\.dense$",
    "all-linear": r"layer\.\d+\..*(_proj|dense)$",
}
TARGET = bert.TARGET
INPUTS: tuple[str, ...] = (
    "input_ids",
    "attention_mask",
)  # published models have no segments, `type_vocab_size` 0
LOAD: Mapping[str, Any] = {}
WORDS = bert.WORDS
TIED = bert.TIED
TIES = bert.TIES

longest = bert.longest  # relative positions reach further, but no model has learned there


def width(config: Mapping[str, Any]) -> int:
    """The size of a token's state."""
    return int(config.get("hidden_size", 1536))


def language_model(config: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """The tensors of DebertaV2ForMaskedLM's head; the newer of its two takes its decoder from the embeddings."""
    if config.get("legacy", True):
        return bert.language_model(config)
    return {
        "lm_predictions.lm_head.bias": ("vocabulary",),
        "lm_predictions.lm_head.dense.weight": ("width", "width"),
        "lm_predictions.lm_head.dense.bias": ("width",),
        "lm_predictions.lm_head.LayerNorm.weight": ("width",),
        "lm_predictions.lm_head.LayerNorm.bias": ("width",),
    }
