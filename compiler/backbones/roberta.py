"""RoBERTa: BERT without segments, trained for longer (Liu et al., 2019, arXiv:1907.11692)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import bert

MODALITY = bert.MODALITY
PROVIDES = bert.PROVIDES
PREFIX = "roberta."
OMITTED = bert.OMITTED
BUFFERS = bert.BUFFERS
RENAMED = bert.RENAMED
PARTS = bert.PARTS
NORMS = bert.NORMS
KINDS = bert.KINDS
TARGET = bert.TARGET
INPUTS: tuple[str, ...] = ("input_ids", "attention_mask")
LOAD = bert.LOAD
WORDS = bert.WORDS
TIED: tuple[str, ...] = ("lm_head.decoder.weight", "lm_head.decoder.bias")
TIES = bert.TIES

width = bert.width


def longest(config: Mapping[str, Any]) -> int:
    """The first token sits one after the padding index, so that index and all before it are lost."""
    return int(config.get("max_position_embeddings", 512)) - int(config.get("pad_token_id", 1)) - 1


cache = bert.cache
shapes = bert.shapes
mistakes = bert.mistakes


def language_model(config: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """The tensors of RobertaForMaskedLM's head."""
    return {
        "lm_head.bias": ("vocabulary",),
        "lm_head.dense.weight": ("width", "width"),
        "lm_head.dense.bias": ("width",),
        "lm_head.layer_norm.weight": ("width",),
        "lm_head.layer_norm.bias": ("width",),
        "lm_head.decoder.weight": ("vocabulary", "width"),
        "lm_head.decoder.bias": ("vocabulary",),
    }
