"""OLMo 2: Llama with norms after its layers, and on all queries and keys (OLMo Team, 2025, arXiv:2501.00656)."""

from __future__ import annotations

from dataclasses import replace

from ..contracts.backbone import Config
from . import llama
from ._shapes import Shapes, norm, stack


def shapes(config: Config) -> Shapes:
    """Every tensor of Olmo2Model."""
    bias, size = config["attention_bias"], llama.head_size(config)
    plain = llama.decoder(config, qkv=bias, output=bias, mlp=False)
    norms = {
        **norm("self_attn.q_norm", config["num_attention_heads"] * size, bias=False),
        **norm("self_attn.k_norm", llama.pairs(config) * size, bias=False),
        **norm("post_feedforward_layernorm", config["hidden_size"], bias=False),
    }
    kept = {name: shape for name, shape in plain.items() if "input_layernorm" not in name}
    return {**kept, **stack("layers", config["num_hidden_layers"], norms)}


FAMILY = replace(llama.FAMILY, shapes=shapes, mistakes=llama.grouped)
