"""Backbones with learned virtual tokens before an input."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from .caches import cache_of


class Constant(nn.Module):
    """Fixed virtual tokens: the output of their encoder, as a buffer."""

    def __init__(self, values: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("values", values)

    def forward(self, indices: torch.Tensor) -> torch.Tensor:
        """The values for each row of indices (batch, tokens): (batch, tokens, size)."""
        values = self.values
        assert isinstance(values, torch.Tensor)
        return values.expand(indices.shape[0], -1, -1)


class Prompted(nn.Module):
    """A backbone behind virtual tokens, whose own states are cut off.

    `prompt` is one of PEFT's encoders: indices (batch, tokens) → (batch, tokens, size).
    """

    def __init__(self, backbone: Any, prompt: nn.Module, tokens: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.prompt = prompt
        self.tokens = tokens

    @property
    def config(self) -> Any:
        """The backbone's configuration."""
        return self.backbone.config

    def set_attn_implementation(self, name: str) -> None:
        """Chooses the implementation of attention, as in transformers' modules."""
        self.backbone.set_attn_implementation(name)

    def get_input_embeddings(self) -> Any:
        """The word embedding, as in transformers' modules."""
        return self.backbone.get_input_embeddings()

    def virtual(self, like: torch.Tensor) -> torch.Tensor:
        """The encoder's output for each row of a batch."""
        indices = torch.arange(self.tokens, device=like.device).unsqueeze(0).expand(like.shape[0], -1)
        found: torch.Tensor = self.prompt(indices)
        return found

    def widened(self, mask: torch.Tensor) -> torch.Tensor:
        """An attention mask (batch, length) extended by the virtual tokens: (batch, tokens + length)."""
        return torch.cat([mask.new_ones(mask.shape[0], self.tokens), mask], 1)

    def cache(self) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Keys and values (1, heads, tokens, size) of the virtual tokens, a pair for each layer.

        Of a decoder they depend on nothing that comes later, so they are computed once for any text.
        """
        raise NotImplementedError

    def baked(self) -> nn.Module:
        """A copy with the virtual tokens as constants."""
        with torch.no_grad():
            values = self.prompt(torch.arange(self.tokens, device=next(self.parameters()).device).unsqueeze(0))
        return type(self)(self.backbone, Constant(values.clone()), self.tokens)


class Embedded(Prompted):
    """Virtual tokens among the word embeddings (prompt tuning, P-tuning)."""

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, **arrays: torch.Tensor) -> Any:
        """The backbone's outputs for ids (batch, length)."""
        words = self.backbone.get_input_embeddings()(input_ids)
        given: dict[str, Any] = {"inputs_embeds": torch.cat([self.virtual(input_ids).to(words.dtype), words], 1)}
        for name, values in arrays.items():  # token types, in which virtual tokens belong to the first text
            given[name] = torch.cat([values.new_zeros(values.shape[0], self.tokens), values], 1)
        outputs = self.backbone(attention_mask=self.widened(attention_mask), **given)
        outputs.last_hidden_state = outputs.last_hidden_state[:, self.tokens :]
        return outputs

    def cache(self) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """What the backbone's layers make of the virtual tokens."""
        states = self.virtual(torch.zeros(1, 1, dtype=torch.long, device=next(self.parameters()).device))
        mask = torch.ones(states.shape[:2], dtype=torch.long, device=states.device)
        found = self.backbone(inputs_embeds=states, attention_mask=mask, use_cache=True).past_key_values
        return [(layer.keys, layer.values) for layer in found.layers]


class Prefixed(Prompted):
    """Virtual keys and values in every layer's attention (prefix tuning)."""

    def cache(self) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """The virtual keys and values themselves."""
        given = torch.zeros(1, 1, dtype=torch.long, device=next(self.parameters()).device)
        found = past(self.virtual(given), **_heads(self.backbone.config))
        return [(layer.keys, layer.values) for layer in found.layers]

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, **arrays: torch.Tensor) -> Any:
        """The backbone's outputs for ids (batch, length)."""
        cache = past(self.virtual(input_ids), **_heads(self.backbone.config))
        return self.backbone(
            input_ids=input_ids, attention_mask=self.widened(attention_mask), past_key_values=cache, **arrays
        )


def _heads(config: Any) -> Mapping[str, int]:
    layers = config.num_hidden_layers
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    return {"layers": layers, "heads": heads}


def past(values: torch.Tensor, layers: int, heads: int) -> Any:
    """A cache that holds virtual keys and values (batch, tokens, layers · 2 · heads · size), in PEFT's order."""
    batch, tokens, size = values.shape
    each = values.view(batch, tokens, layers * 2, heads, size // (layers * 2 * heads)).permute(2, 0, 3, 1, 4)
    return cache_of((each[2 * i], each[2 * i + 1]) for i in range(layers))
