"""Attention masks by positions, for decoders of which some layers attend to a window of tokens.

transformers counts a window in columns. That is right where padding stands before all tokens or after them, and wrong
where virtual tokens stand before the padding.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

SLIDING = "sliding_attention"


def count_windows(module: nn.Module) -> None:
    """Makes a decoder count its windows in positions, if it has any; a second call changes nothing."""
    is_done = any(hook is _masked for hook in module._forward_pre_hooks.values())
    if _has_window(module.config) and not is_done:
        module.register_forward_pre_hook(_masked, with_kwargs=True)


def _has_window(config: Any) -> bool:
    types = getattr(config, "layer_types", None)
    return bool(getattr(config, "sliding_window", None)) and (types is None or SLIDING in types)


def _masked(module: nn.Module, positional: tuple[Any, ...], given: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    words = given["input_ids"] if given.get("input_ids") is not None else given["inputs_embeds"]
    found = masks(module.config, given["attention_mask"], words.shape[1], next(module.parameters()).dtype)
    return positional, {**given, "attention_mask": found}


def masks(config: Any, attention_mask: torch.Tensor, new: int, dtype: torch.dtype) -> Any:
    """What is added to the scores of attention, (rows, 1, new, total), from a mask (rows, total) of ones and zeros.

    By the word of a layer's type where layers differ, as in `transformers.masking_utils.create_masks_for_generate`.
    """
    positions = attention_mask.cumsum(-1) - 1
    columns = torch.arange(attention_mask.shape[1], device=attention_mask.device)
    earlier = columns[None, :] <= columns[-new:, None]
    seen = attention_mask.bool()[:, None, None, :] & earlier[None, None]
    near = positions[:, None, -new:, None] - positions[:, None, None, :] < config.sliding_window
    if getattr(config, "layer_types", None) is None:
        return _added(seen & near, dtype)
    return {"full_attention": _added(seen, dtype), SLIDING: _added(seen & near, dtype)}


def _added(seen: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    return torch.zeros_like(seen, dtype=dtype).masked_fill(~seen, torch.finfo(dtype).min)
