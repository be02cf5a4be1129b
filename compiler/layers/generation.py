"""The graph of a language model that writes: from tokens and a cache to logits and the longer cache."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from ...runtime.cache import past_names, present_names
from .caches import arrays_of, cache_of, paired
from .head import WANTED
from .language import LanguageModel, WordHead, in_two_dimensions
from .prompts import Prompted
from .windows import count_windows

Pair = tuple[torch.Tensor, torch.Tensor]  # keys and values of a layer: (rows, heads, tokens, size)


class Writer(WordHead):
    """States (rows, tokens, width) in, logits of the word after each token (rows, tokens, words) out.

    Where a batch says which tokens are wanted, logits are those of these alone: (wanted, words), row by row.
    """

    reads_arrays = True

    def forward(self, states: torch.Tensor, arrays: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The logits after each token, or after the wanted ones: over a large vocabulary they are most of a step."""
        if WANTED not in arrays:
            return {"logits": self.language(states)}
        return {"logits": self.language(states[arrays[WANTED]][None])[0]}

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
            count_windows(self.backbone)

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, logits_to_keep: torch.Tensor, **past: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """Logits of the last positions, and the cache."""
        pairs, hidden = paired([past[name] for name in past_names(len(past) // 2)]), 0
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
        present = [array[:, :, hidden:] for array in arrays_of(outputs.past_key_values)]
        return {"logits": logits, **dict(zip(present_names(len(present) // 2), present, strict=True))}


def _joined(first: Pair, then: Pair) -> Pair:
    """Keys and values of one row before those of any number."""
    keys, values = (torch.cat([a.expand(b.shape[0], -1, -1, -1), b], 2) for a, b in zip(first, then, strict=True))
    return keys, values
