"""GPT-2: a transformer decoder with learned positions (Radford et al., 2019).

Weights of its linear layers have the shape (inputs, outputs), and one layer makes queries, keys and values. The layer
norm after the last layer is in no part: it learns with the head.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..contracts.backbone import Config, Family, LanguageModel, Mistake
from ._shapes import Shapes, norm, stack, undivided


def width(config: Config) -> int:
    """The width of a token's state."""
    return int(config.get("n_embd", 768))


def longest(config: Config) -> int:
    """The number of learned positions."""
    return int(config.get("n_positions", 1024))


def cache(config: Config) -> tuple[int, int, int]:
    """(layers, heads, size of a head) of past key values."""
    heads = int(config.get("n_head", 12))
    return int(config.get("n_layer", 12)), heads, width(config) // heads


def ready(module: Any) -> Any:
    """The loaded module, with positions that count real tokens only."""
    from ..layers.decoders import count_positions

    return count_positions(module)


def language_model(config: Config) -> dict[str, tuple[str, ...]]:
    """The tensors of GPT2LMHeadModel's head: a decoder over the vocabulary."""
    return {"lm_head.weight": ("vocabulary", "width")}


def shapes(config: Config) -> Shapes:
    """Every tensor of GPT2Model; weights of linear layers have the shape (inputs, outputs)."""
    width = config["n_embd"]
    inner = 4 * width if config["n_inner"] is None else config["n_inner"]
    layer = {
        **norm("ln_1", width),
        **_turned("attn.c_attn", width, 3 * width),
        **_turned("attn.c_proj", width, width),
        **norm("ln_2", width),
        **_turned("mlp.c_fc", width, inner),
        **_turned("mlp.c_proj", inner, width),
    }
    if config["add_cross_attention"]:
        layer |= {
            **_turned("crossattention.c_attn", width, 2 * width),
            **_turned("crossattention.q_attn", width, width),
        }
        layer |= {**_turned("crossattention.c_proj", width, width), **norm("ln_cross_attn", width)}
    return {
        "wte.weight": (config["vocab_size"], width),
        "wpe.weight": (config["n_positions"], width),
        **stack("h", config["n_layer"], layer),
        **norm("ln_f", width),
    }


def _turned(name: str, inputs: int, outputs: int) -> Shapes:
    return {f"{name}.weight": (inputs, outputs), f"{name}.bias": (outputs,)}


def mistakes(config: Config) -> Iterator[Mistake]:
    """Values that shapes of tensors do not show to be wrong."""
    yield from undivided(config, "n_embd", "n_head")


def ungrouped(config: Config) -> str:
    """GroupQueryAttention takes any scale, and no other order of its sums."""
    return (
        "`reorder_and_upcast_attn` computes attention in an order of its own"
        if config.get("reorder_and_upcast_attn")
        else ""
    )


FAMILY = Family(
    modality="text",
    provides=frozenset(
        {"tokens", "causal", "word-embeddings", "past-key-values", "packed-rows", "causal-language-model"}
    ),
    prefix="transformer.",
    omitted=(r"(?!(wte|wpe|h|ln_f)\.)", r"h\.\d+\.attn\.(masked_)?bias$"),
    parts={"embeddings": r"w[tp]e\.", "layers": r"h\.(\d+)\."},
    bare={"embeddings": ("drop",)},
    norms=r"ln_(1|2|f)\.(weight|bias)$",
    words="wte.weight",
    kinds={
        "qkv": r"attn\.c_attn$",
        "attention": r"attn\.(c_attn|c_proj)$",
        "mlp": r"mlp\.(c_fc|c_proj)$",
        "attention-output": r"attn\.c_proj$",
        "mlp-output": r"mlp\.c_proj$",
        "all-linear": r"(attn\.c_attn|attn\.c_proj|mlp\.c_fc|mlp\.c_proj)$",
    },
    target=("qkv",),
    transposed=r"(attn|mlp)\.c_(attn|proj|fc)$",
    shapes=shapes,
    mistakes=mistakes,
    width=width,
    longest=longest,
    cache=cache,
    ungrouped=ungrouped,
    language_model=LanguageModel(tensors=language_model, tied=("lm_head.weight",)),
    ready=ready,
    inputs=("input_ids", "attention_mask"),
)
