"""The rules for config.json and the shapes that families expect, held against the transformers that is installed."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
import transformers

from graftc.compiler import variants
from graftc.compiler.facts.configuration import rules

from . import configurations, tiny

WORDS = variants.words("backbones")
# what changes which tensors there are, beyond what the tiny backbones have
ALTERED: dict[str, tuple[dict[str, Any], ...]] = {
    "albert": ({"num_hidden_groups": 3}, {"inner_group_num": 2}),
    "bert": ({"is_decoder": True, "add_cross_attention": True}, {"type_vocab_size": 3}),
    "convnext": ({"layer_scale_init_value": 0.0}, {"patch_size": [4, 2]}, {"num_stages": 2}),
    "deberta-v2": (
        {"share_att_key": False},
        {"share_att_key": False, "pos_att_type": "c2p|none", "position_buckets": -1},
        {"relative_attention": False, "position_biased_input": True, "norm_rel_ebd": "none", "conv_kernel_size": 0},
        {"type_vocab_size": 2, "embedding_size": 16, "max_relative_positions": 24, "position_buckets": -1},
        {"attention_head_size": 8, "conv_groups": 2},
    ),
    "deit": ({"qkv_bias": False},),
    "electra": ({"embedding_size": 32}, {"is_decoder": True, "add_cross_attention": True}),
    "gpt2": ({"n_inner": 48}, {"add_cross_attention": True}),
    "llama": ({"attention_bias": True, "mlp_bias": True}, {"head_dim": None, "num_key_value_heads": None}),
    "mobilenet-v2": (
        {"depth_multiplier": 1.4, "first_layer_is_expansion": False},
        {"depth_divisible_by": 24, "min_depth": 16, "expand_ratio": 3.5, "finegrained_output": True},
    ),
    "modernbert": ({"norm_bias": True, "attention_bias": True, "mlp_bias": True},),
    "mpnet": ({"relative_attention_num_buckets": 16},),
    "qwen3": ({"attention_bias": True, "head_dim": 8},),
    "resnet": ({"layer_type": "basic"}, {"downsample_in_first_stage": True}, {"hidden_sizes": [8, 8, 8]}),
    "swin": ({"qkv_bias": False, "mlp_ratio": 2.5}, {"use_absolute_embeddings": True, "patch_size": [4, 2]}),
    "vit": ({"image_size": [32, 48], "patch_size": [8, 4]}, {"qkv_bias": False}),
}
CASES = [(word, more) for word in WORDS for more in ({}, *ALTERED.get(word, ()))]


def test_the_rules_are_those_of_the_transformers_that_is_installed() -> None:
    found = {file.name: file.read_text(encoding="utf-8") for file in configurations.FOLDER.glob("*.json")}
    assert found == configurations.texts(), "write them anew: python -m tests.backbones.configurations"


@pytest.mark.parametrize(
    ("word", "more"), CASES, ids=lambda value: value if isinstance(value, str) else ",".join(value)
)
def test_a_family_knows_every_tensor_of_its_module(word: str, more: dict[str, Any]) -> None:
    config = tiny.config(word, **more)
    with torch.device("meta"):
        module = transformers.AutoModel.from_config(config, **configurations.load(word))
    written = json.loads(config.to_json_string(use_diff=False))
    family = variants.family(word)
    expected = family.shapes(rules(word).resolved(written))
    assert expected == {name: tuple(tensor.shape) for name, tensor in family.ready(module).state_dict().items()}


@pytest.mark.parametrize("word", WORDS)
def test_what_config_json_leaves_out_is_as_transformers_fills_it_in(word: str) -> None:
    kind = type(tiny.config(word))
    with torch.device("meta"):
        module = transformers.AutoModel.from_config(kind(), **configurations.load(word))
    family = variants.family(word)
    expected = family.shapes(rules(word).resolved({}))
    assert expected == {name: tuple(tensor.shape) for name, tensor in family.ready(module).state_dict().items()}
