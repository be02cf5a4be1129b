"""BERT: a transformer encoder over words, positions and segments (Devlin et al., 2018, arXiv:1810.04805)."""

from __future__ import annotations

from collections.abc import Iterator

from ..contracts.backbone import Config, Family, LanguageModel, Mistake
from ._shapes import Shapes, linear, norm, stack, undivided


def width(config: Config) -> int:
    """The width of a token's state."""
    return int(config.get("hidden_size", 768))


def longest(config: Config) -> int:
    """The number of learned positions."""
    return int(config.get("max_position_embeddings", 512))


def cache(config: Config) -> tuple[int, int, int]:
    """(layers, heads, size of a head) of past key values."""
    heads = int(config.get("num_attention_heads", 12))
    return int(config.get("num_hidden_layers", 12)), heads, width(config) // heads


def language_model(config: Config) -> dict[str, tuple[str, ...]]:
    """The tensors of BertForMaskedLM's head: a layer, its norm, and a decoder over the vocabulary."""
    return {
        "cls.predictions.bias": ("vocabulary",),
        "cls.predictions.transform.dense.weight": ("width", "width"),
        "cls.predictions.transform.dense.bias": ("width",),
        "cls.predictions.transform.LayerNorm.weight": ("width",),
        "cls.predictions.transform.LayerNorm.bias": ("width",),
        "cls.predictions.decoder.weight": ("vocabulary", "width"),
        "cls.predictions.decoder.bias": ("vocabulary",),
    }


def shapes(config: Config) -> Shapes:
    """Every tensor of BertModel without its pooler."""
    return {**words(config, config["hidden_size"]), **layers(config)}


def words(config: Config, width: int) -> Shapes:
    """The embeddings, which have their own width in ELECTRA."""
    return {
        "embeddings.word_embeddings.weight": (config["vocab_size"], width),
        "embeddings.position_embeddings.weight": (config["max_position_embeddings"], width),
        "embeddings.token_type_embeddings.weight": (config["type_vocab_size"], width),
        **norm("embeddings.LayerNorm", width),
    }


def layers(config: Config) -> Shapes:
    """The stack of layers; a decoder's may have cross attention."""
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


def mistakes(config: Config) -> Iterator[Mistake]:
    """Values that shapes of tensors do not show to be wrong."""
    yield from undivided(config, "hidden_size", "num_attention_heads")
    if config.get("add_cross_attention") and not config.get("is_decoder"):
        yield "add_cross_attention", "only a decoder attends to another text: `is_decoder` is false"


FAMILY = Family(
    modality="text",
    provides=frozenset({"tokens", "word-embeddings", "past-key-values", "masked-language-model"}),
    prefix="bert.",
    # names outside of the two parts are a head or the pooler; old checkpoints also hold position ids
    omitted=(r"(?!(embeddings|encoder)\.)", r"embeddings\.(position|token_type)_ids$"),
    renamed={r"LayerNorm\.gamma$": "LayerNorm.weight", r"LayerNorm\.beta$": "LayerNorm.bias"},
    parts={"embeddings": r"embeddings\.", "layers": r"encoder\.layer\.(\d+)\."},
    norms=r"LayerNorm\.(weight|bias)$",
    words="embeddings.word_embeddings.weight",
    kinds={
        "query": r"attention\.self\.query$",
        "key": r"attention\.self\.key$",
        "value": r"attention\.self\.value$",
        "attention": r"attention\.(self\.(query|key|value)|output\.dense)$",
        "mlp": r"layer\.\d+\.(intermediate|output)\.dense$",
        "attention-output": r"attention\.output\.dense$",
        "mlp-output": r"layer\.\d+\.output\.dense$",
        "all-linear": r"layer\.\d+\..*(query|key|value|dense)$",
    },
    target=("query", "value"),
    shapes=shapes,
    mistakes=mistakes,
    width=width,
    longest=longest,
    cache=cache,
    language_model=LanguageModel(
        tensors=language_model, tied=("cls.predictions.decoder.weight", "cls.predictions.decoder.bias")
    ),
    load={"add_pooling_layer": False},
    inputs=("input_ids", "attention_mask", "token_type_ids"),
)
