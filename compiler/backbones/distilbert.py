"""DistilBERT: BERT with half the layers, without segments (Sanh et al., 2019, arXiv:1910.01108)."""

from __future__ import annotations

from collections.abc import Iterator

from ..contracts.backbone import Config, Family, LanguageModel, Mistake
from . import bert
from ._shapes import Shapes, linear, norm, stack, undivided


def width(config: Config) -> int:
    """The width of a token's state, called `dim` in this family."""
    return int(config.get("dim", 768))


def language_model(config: Config) -> dict[str, tuple[str, ...]]:
    """The tensors of DistilBertForMaskedLM's head."""
    return {
        "vocab_transform.weight": ("width", "width"),
        "vocab_transform.bias": ("width",),
        "vocab_layer_norm.weight": ("width",),
        "vocab_layer_norm.bias": ("width",),
        "vocab_projector.weight": ("vocabulary", "width"),
        "vocab_projector.bias": ("vocabulary",),
    }


def shapes(config: Config) -> Shapes:
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


def mistakes(config: Config) -> Iterator[Mistake]:
    """Values that shapes of tensors do not show to be wrong."""
    yield from undivided(config, "dim", "n_heads")


FAMILY = Family(
    modality="text",
    provides=frozenset({"tokens", "word-embeddings", "masked-language-model"}),
    prefix="distilbert.",
    omitted=(r"(?!(embeddings|transformer)\.)", r"embeddings\.position_ids$"),
    renamed=bert.FAMILY.renamed,
    parts={"embeddings": r"embeddings\.", "layers": r"transformer\.layer\.(\d+)\."},
    norms=r"(LayerNorm|_layer_norm)\.(weight|bias)$",
    words="embeddings.word_embeddings.weight",
    kinds={
        "query": r"attention\.q_lin$",
        "key": r"attention\.k_lin$",
        "value": r"attention\.v_lin$",
        "attention": r"attention\.(q|k|v|out)_lin$",
        "mlp": r"ffn\.lin[12]$",
        "attention-output": r"attention\.out_lin$",
        "mlp-output": r"ffn\.lin2$",
        "all-linear": r"(attention\.(q|k|v|out)_lin|ffn\.lin[12])$",
    },
    target=("query", "value"),
    shapes=shapes,
    mistakes=mistakes,
    width=width,
    longest=bert.longest,
    language_model=LanguageModel(tensors=language_model, tied=("vocab_projector.weight",)),
    inputs=("input_ids", "attention_mask"),
)
