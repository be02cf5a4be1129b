"""Changes to causal backbones."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

POSITIONS = "position_ids"  # of tokens in their own rows (blocks, tokens), where rows share blocks


def count_positions(module: nn.Module) -> nn.Module:
    """Makes a decoder number its tokens by the attention mask, so that padding may be on either side.

    Where positions are given, rows share blocks: transformers then tells rows apart by positions that start again, as
    long as it gets no attention mask (`find_packed_sequence_indices` of its masking_utils.py). It also turns off the
    cache, because nothing is generated.
    """
    module.config.use_cache = False
    module.register_forward_pre_hook(_number, with_kwargs=True)
    return module


def _number(module: nn.Module, positional: tuple[Any, ...], given: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    if POSITIONS in given:
        return positional, {**given, "attention_mask": None}
    mask: torch.Tensor = given["attention_mask"]
    words = given["input_ids"] if given.get("input_ids") is not None else given["inputs_embeds"]
    positions = (mask.cumsum(-1) - 1).clamp(min=0)  # includes virtual tokens, which are not among the words
    return positional, {**given, "position_ids": positions[:, -words.shape[1] :]}
