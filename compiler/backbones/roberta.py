"""RoBERTa: BERT without segments, trained for longer (Liu et al., 2019, arXiv:1907.11692)."""

from __future__ import annotations

from dataclasses import replace

from ..contracts.backbone import Config, LanguageModel
from . import bert


def longest(config: Config) -> int:
    """The learned positions after the padding index, where the first token is."""
    return int(config.get("max_position_embeddings", 512)) - int(config.get("pad_token_id", 1)) - 1


def language_model(config: Config) -> dict[str, tuple[str, ...]]:
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


FAMILY = replace(
    bert.FAMILY,
    prefix="roberta.",
    longest=longest,
    language_model=LanguageModel(tensors=language_model, tied=("lm_head.decoder.weight", "lm_head.decoder.bias")),
    inputs=("input_ids", "attention_mask"),
)
