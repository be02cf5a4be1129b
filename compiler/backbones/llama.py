"""Llama: a transformer decoder with rotary positions (Touvron et al., 2023, arXiv:2302.13971).

The norm after the last layer is in no part: it learns with the head.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..contracts.backbone import Config, Family, LanguageModel, Mistake
from . import gpt2
from ._shapes import Shapes, linear, norm, stack, undivided


def width(config: Config) -> int:
    """The width of a token's state."""
    return int(config.get("hidden_size", 4096))


def longest(config: Config) -> int:
    """The trained positions; rotary positions reach further, but were not trained there."""
    return int(config.get("max_position_embeddings", 2048))


def cache(config: Config) -> tuple[int, int, int]:
    """(layers, heads of keys and values, size of a head) of past key values."""
    heads = int(config.get("num_attention_heads", 32))
    size = int(config.get("head_dim") or width(config) // heads)
    return int(config.get("num_hidden_layers", 32)), int(config.get("num_key_value_heads") or heads), size


def shapes(config: Config) -> Shapes:
    """Every tensor of LlamaModel."""
    return decoder(config, config["attention_bias"], config["attention_bias"], config["mlp_bias"])


def decoder(config: Config, qkv: bool, output: bool, mlp: bool) -> Shapes:
    """The tensors of a decoder like Llama's; the flags tell which layers have biases."""
    width, inner, size = config["hidden_size"], config["intermediate_size"], head_size(config)
    queries, keys = config["num_attention_heads"] * size, pairs(config) * size
    layer = {
        **linear("self_attn.q_proj", width, queries, qkv),
        **linear("self_attn.k_proj", width, keys, qkv),
        **linear("self_attn.v_proj", width, keys, qkv),
        **linear("self_attn.o_proj", queries, width, output),
        **linear("mlp.gate_proj", width, inner, mlp),
        **linear("mlp.up_proj", width, inner, mlp),
        **linear("mlp.down_proj", inner, width, mlp),
        **norm("input_layernorm", width, bias=False),
        **norm("post_attention_layernorm", width, bias=False),
    }
    stacked = stack("layers", config["num_hidden_layers"], layer)
    return {"embed_tokens.weight": (config["vocab_size"], width), **stacked, **norm("norm", width, bias=False)}


def head_size(config: Config) -> int:
    """The size of a head, which config.json may leave out."""
    found = config.get("head_dim")
    return int(config["hidden_size"] // config["num_attention_heads"] if found is None else found)


def pairs(config: Config) -> int:
    """The number of heads of keys and values."""
    found = config["num_key_value_heads"]
    return int(config["num_attention_heads"] if found is None else found)


def mistakes(config: Config) -> Iterator[Mistake]:
    """Values that shapes of tensors do not show to be wrong."""
    yield from undivided(config, "hidden_size", "num_attention_heads")
    yield from grouped(config)


def grouped(config: Config) -> Iterator[Mistake]:
    """Mistakes where heads can't share heads of keys evenly, or where a head has an odd size."""
    if config["num_attention_heads"] % pairs(config):
        yield "num_key_value_heads", f"{config['num_attention_heads']} heads can't share {pairs(config)} of keys evenly"
    if head_size(config) % 2:
        yield "head_dim", f"a head of {head_size(config)} numbers has no halves for positions to turn"


def ungrouped(config: Config) -> str:
    """Why GroupQueryAttention can't express a decoder like Llama's: windows and soft caps; empty where it can."""
    if config.get("attn_logit_softcapping"):
        return "its attention caps logits (`attn_logit_softcapping`)"
    if any(kind != "full_attention" for kind in config.get("layer_types") or ()):
        return "some of its layers attend to a window (`layer_types`)"
    if config.get("sliding_window") and config.get("use_sliding_window", True):
        return "it attends to a window (`sliding_window`)"
    return ""


FAMILY = Family(
    modality="text",
    provides=gpt2.FAMILY.provides,
    prefix="model.",
    omitted=(r"(?!(embed_tokens|layers|norm)\.)", r".*rotary_emb\.inv_freq$"),
    parts={"embeddings": r"embed_tokens\.", "layers": r"layers\.(\d+)\."},
    norms=r"(^|_)?norm\.weight$",
    words="embed_tokens.weight",
    kinds={
        "query": r"self_attn\.q_proj$",
        "key": r"self_attn\.k_proj$",
        "value": r"self_attn\.v_proj$",
        "attention": r"self_attn\.[qkvo]_proj$",
        "mlp": r"mlp\.(gate|up|down)_proj$",
        "attention-output": r"self_attn\.o_proj$",
        "mlp-output": r"mlp\.down_proj$",
        "all-linear": r"(self_attn\.[qkvo]|mlp\.(gate|up|down))_proj$",
    },
    target=("query", "value"),
    shapes=shapes,
    mistakes=mistakes,
    width=width,
    longest=longest,
    cache=cache,
    ungrouped=ungrouped,
    language_model=LanguageModel(tensors=gpt2.language_model, tied=("lm_head.weight",), is_tied=False),
    ready=gpt2.ready,
    inputs=("input_ids", "attention_mask"),
)
