"""ELECTRA: BERT trained to detect replaced words (Clark et al., 2020, arXiv:2003.10555)."""

from __future__ import annotations

from dataclasses import replace

from ..contracts.backbone import Config, LanguageModel
from . import bert
from ._shapes import Shapes, linear


def width(config: Config) -> int:
    """The width of a token's state."""
    return int(config.get("hidden_size", 256))


def cache(config: Config) -> tuple[int, int, int]:
    """(layers, heads, size of a head) of past key values."""
    return bert.cache({**config, "hidden_size": width(config)})


def language_model(config: Config) -> dict[str, tuple[str, ...]]:
    """The tensors of ElectraForMaskedLM's head, which checkpoints of generators have."""
    return {
        "generator_predictions.dense.weight": ("embedding", "width"),
        "generator_predictions.dense.bias": ("embedding",),
        "generator_predictions.LayerNorm.weight": ("embedding",),
        "generator_predictions.LayerNorm.bias": ("embedding",),
        "generator_lm_head.weight": ("vocabulary", "embedding"),
        "generator_lm_head.bias": ("vocabulary",),
    }


def shapes(config: Config) -> Shapes:
    """Every tensor of ElectraModel; it has a projection only where the two widths differ."""
    narrow, width = config["embedding_size"], config["hidden_size"]
    between = linear("embeddings_project", narrow, width) if narrow != width else {}
    return {**bert.words(config, narrow), **between, **bert.layers(config)}


FAMILY = replace(
    bert.FAMILY,
    prefix="electra.",
    omitted=(
        r"(?!(embeddings|embeddings_project|encoder)\.)",  # other names are a head's
        r"embeddings\.(position|token_type)_ids$",
    ),
    # the projection exists only where the two widths differ
    parts={"embeddings": r"embeddings(?:_project)?\.", "layers": r"encoder\.layer\.(\d+)\."},
    shapes=shapes,
    width=width,
    cache=cache,
    language_model=LanguageModel(tensors=language_model, tied=("generator_lm_head.weight",)),
    load={},
)
