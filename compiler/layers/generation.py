"""The graph of a language model that writes: from tokens and a cache to logits and the longer cache."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import nn

from ...runtime.cache import past_names, present_names
from .caches import cache_of
from .language import LanguageModel, NextWords
from .prompts import Prompted

Pair = tuple[torch.Tensor, torch.Tensor]  # keys and values of a layer: (rows, heads, tokens, size)


class Writer(NextWords):
    """Trained as any language model: states (rows, tokens, width) in, logits of the word after each token out."""

    def graphs(self, backbone: Any) -> Mapping[str, nn.Module]:
        """The graph `model`, which goes on from a cache."""
        return {"model": CachedPass(backbone, self.language)}


class CachedPass(nn.Module):
    """A decoder and its head, from a cache on.

    `input_ids` (rows, new), `attention_mask` (rows, past + new), `logits_to_keep` (1,) and, by `past_names`, keys and
    values (rows, heads, past, size) → `logits` (rows, kept, words) and, by `present_names`, keys and values
    (rows, heads, past + new, size).
    """

    def __init__(self, backbone: Any, language: LanguageModel) -> None:
        super().__init__()
        self.language = language
        self.backbone = backbone.backbone if isinstance(backbone, Prompted) else backbone
        self.virtual: list[Pair] = []  # keys and values before all others, which callers never see
        if isinstance(backbone, Prompted):
            with torch.no_grad():
                self.virtual = backbone.cache()

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, logits_to_keep: torch.Tensor, **past: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """Logits of the last positions, and the cache."""
        arrays = [past[name] for name in past_names(len(past) // 2)]
        pairs, hidden = list(zip(arrays[::2], arrays[1::2], strict=True)), 0
        if self.virtual:
            hidden = self.virtual[0][0].shape[2]
            pairs = [_joined(*each) for each in zip(self.virtual, pairs, strict=True)]
            attention_mask = torch.cat([attention_mask.new_ones(attention_mask.shape[0], hidden), attention_mask], 1)
        outputs = self.backbone(
            input_ids=input_ids, attention_mask=attention_mask, past_key_values=cache_of(pairs), use_cache=True
        )
        states = outputs.last_hidden_state[:, -logits_to_keep[0] :]
        with in_two_dimensions(self.language):
            logits = self.language(states)
        layers = outputs.past_key_values.layers
        present = [array[:, :, hidden:] for layer in layers for array in (layer.keys, layer.values)]
        return {"logits": logits, **dict(zip(present_names(len(layers)), present, strict=True))}


def _joined(first: Pair, then: Pair) -> Pair:
    """Keys and values of one row before those of any number."""
    keys, values = (torch.cat([a.expand(b.shape[0], -1, -1, -1), b], 2) for a, b in zip(first, then, strict=True))
    return keys, values


@contextmanager
def in_two_dimensions(module: nn.Module) -> Iterator[None]:
    """Lets linear layers see rows alone: a graph then takes a weight as it lies, and holds one that is shared once."""
    layers = [layer for layer in module.modules() if isinstance(layer, nn.Linear)]
    for layer in layers:
        layer.forward = partial(_flat, layer)
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward  # the class has its own


def _flat(layer: nn.Linear, states: torch.Tensor) -> torch.Tensor:
    """The same as Gemm, which exporters make only of layers with a bias; MatMul takes a turned copy of the weight."""
    bias = layer.weight.new_zeros(layer.out_features) if layer.bias is None else layer.bias
    found = nn.functional.linear(states.flatten(0, 1), layer.weight, bias)
    return found.unflatten(0, (states.shape[0], -1))
