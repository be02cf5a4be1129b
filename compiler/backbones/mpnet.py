"""MPNet: BERT with relative positions, trained on permuted words (Song et al., 2020, arXiv:2004.09297).

`embeddings` includes the table of relative positions, which all layers share. Otherwise freezing the lower layers would
leave a learning tensor beneath them.
"""

from __future__ import annotations

from dataclasses import replace

from ..contracts.backbone import Config
from . import bert, roberta
from ._shapes import Shapes, linear, norm, stack


def longest(config: Config) -> int:
    """The learned positions from 2 on, because the model's padding index is 1, whatever config.json says."""
    return int(config.get("max_position_embeddings", 512)) - 2


def shapes(config: Config) -> Shapes:
    """Every tensor of MPNetModel without its pooler."""
    width, inner = config["hidden_size"], config["intermediate_size"]
    buckets, heads = config["relative_attention_num_buckets"], config["num_attention_heads"]
    layer = {
        **norm("attention.LayerNorm", width),
        **linear("intermediate.dense", width, inner),
        **linear("output.dense", inner, width),
        **norm("output.LayerNorm", width),
    }
    for part in "qkvo":
        layer |= linear(f"attention.attn.{part}", width, width)
    return {
        "embeddings.word_embeddings.weight": (config["vocab_size"], width),
        "embeddings.position_embeddings.weight": (config["max_position_embeddings"], width),
        **norm("embeddings.LayerNorm", width),
        "encoder.relative_attention_bias.weight": (buckets, heads),
        **stack("encoder.layer", config["num_hidden_layers"], layer),
    }


FAMILY = replace(
    bert.FAMILY,
    provides=frozenset({"tokens", "word-embeddings", "masked-language-model"}),
    prefix="mpnet.",
    parts={
        "embeddings": r"(?:embeddings|encoder\.relative_attention_bias)\.",
        "layers": r"encoder\.layer\.(\d+)\.",
    },
    kinds={
        "query": r"attention\.attn\.q$",
        "key": r"attention\.attn\.k$",
        "value": r"attention\.attn\.v$",
        "attention": r"attention\.attn\.[qkvo]$",
        "mlp": r"(intermediate|output)\.dense$",
        "attention-output": r"attention\.attn\.o$",
        "mlp-output": r"layer\.\d+\.output\.dense$",
        "all-linear": r"(attention\.attn\.[qkvo]|(intermediate|output)\.dense)$",
    },
    shapes=shapes,
    longest=longest,
    cache=None,
    language_model=roberta.FAMILY.language_model,  # the tensors have the same names
    inputs=("input_ids", "attention_mask"),
)
