"""transformers' cache of keys and values, made of tensors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch


def cache_of(pairs: Iterable[tuple[torch.Tensor, torch.Tensor]]) -> Any:
    """A cache with these keys and values (rows, heads, tokens, size), a pair for each layer."""
    from transformers.cache_utils import DynamicCache, DynamicLayer

    cache: Any = DynamicCache()
    cache.layers = []
    for keys, values in pairs:  # by hand: the cache's own constructor starts from an empty tensor, which is traced
        layer: Any = DynamicLayer()
        layer.keys, layer.values = keys, values
        layer.dtype, layer.device, layer.is_initialized = keys.dtype, keys.device, True
        cache.layers.append(layer)
    return cache


def arrays_of(cache: Any) -> list[torch.Tensor]:
    """The keys and values of a cache, layer by layer."""
    return [array for layer in cache.layers for array in (layer.keys, layer.values)]


def paired(arrays: Sequence[torch.Tensor]) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Keys and values that follow each other, as a pair for each layer."""
    return list(zip(arrays[::2], arrays[1::2], strict=True))
