"""Language-model heads: transformers' own, without the backbone that they came with."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import torch
from torch import nn
from transformers.modeling_outputs import BaseModelOutputWithPastAndCrossAttentions

from .head import HeadModule


class LanguageModel(nn.Module):
    """States (…, width) in, logits over the vocabulary (…, words) out; of decoders the states are (rows, tokens, width).

    `model` is one of transformers' ForMaskedLM or ForCausalLM, whose backbone makes way for a stub that hands states
    in. What the head shares with the words' embedding stays the backbone's: it learns there, and is no tensor here.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        backbone = getattr(model, model.base_model_prefix)
        lent = {id(parameter) for parameter in backbone.parameters()}
        setattr(model, model.base_model_prefix, _States())
        self.model = model
        self.words = [module for module, name, parameter in _places(model) if id(parameter) in lent]
        for module in self.words:
            del module._parameters["weight"]
        _part_tied(model)

    def tie(self, backbone: Any) -> None:
        """Shares the embedding of a backbone's words, where the head's decoder is one with it."""
        embedding = backbone.get_input_embeddings()
        for module in self.words:
            module.__dict__["weight"] = embedding.weight  # not registered, so that it is the backbone's alone
        states = getattr(self.model, self.model.base_model_prefix)
        states.__dict__["embeddings"] = SimpleNamespace(word_embeddings=embedding)  # where DeBERTa v3 looks for it

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Logits of every state."""
        found: torch.Tensor = self.model(inputs_embeds=states).logits
        return found

    def whole(self, backbone: nn.Module) -> Any:
        """The transformers model with a backbone in its place again, for saving; the head is of no use afterwards."""
        self.tie(backbone)
        setattr(self.model, self.model.base_model_prefix, backbone)
        for module in self.words:
            module._parameters["weight"] = module.__dict__.pop("weight")
        return self.model


class _States(nn.Module):
    """Stands where a backbone stood and gives what it is given."""

    def forward(self, *positional: Any, inputs_embeds: torch.Tensor, **named: Any) -> Any:
        return BaseModelOutputWithPastAndCrossAttentions(last_hidden_state=inputs_embeds)


def _places(model: nn.Module) -> list[tuple[nn.Module, str, nn.Parameter]]:
    """Every place in which a parameter is registered: (module, name there, parameter)."""
    return [
        (module, name, parameter)
        for module in model.modules()
        for name, parameter in module._parameters.items()
        if parameter is not None
    ]


def _part_tied(model: Any) -> None:
    """Registers a parameter of two names under one of them: a decoder's bias that is also its owner's."""
    seen: set[int] = set()
    for module, name, parameter in _places(model):
        if id(parameter) in seen:
            del module._parameters[name]
            module.__dict__[name] = parameter
        seen.add(id(parameter))


class WordHead(HeadModule):
    """A head that finds words by the language model of a backbone, whose embedding of words they share."""

    def __init__(self, language: LanguageModel) -> None:
        super().__init__()
        self.language = language

    def tie(self, backbone: Any) -> None:
        """Shares the embedding of a backbone's words."""
        self.language.tie(backbone)


class MaskFiller(WordHead):
    """States (rows, tokens, width) in, logits of each masked token (rows, masks, words) out.

    Rows with fewer masks than others end in logits of nothing. Of the arrays it reads `input_ids`, and `chosen` (rows,
    tokens), where training marks tokens that do not look masked.
    """

    reads_arrays = True

    def __init__(self, language: LanguageModel, mask: int) -> None:
        super().__init__(language)
        self.mask = mask

    def forward(self, states: torch.Tensor, arrays: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The logits of masked tokens, in the order of the text."""
        chosen = arrays.get("chosen")
        masked = arrays["input_ids"] == self.mask if chosen is None else chosen.bool()
        ranks = masked.to(torch.int64).cumsum(1)
        count = ranks[:, -1].max().clamp(min=1)  # an axis without length is beyond some kernels
        wanted = torch.arange(1, count + 1, device=states.device)[None, :, None]
        picked = (masked[:, None, :] & (ranks[:, None, :] == wanted)).to(states.dtype)
        found = picked @ states
        # in two dimensions a linear layer takes its weight as it lies, and the graph need not turn the words around
        logits = self.language(found.flatten(0, 1))
        return {"logits": logits.view(found.shape[0], -1, logits.shape[-1])}


class NextWords(WordHead):
    """States (rows, tokens, width) in, logits of the word after each token (rows, tokens, words) out."""

    def forward(self, states: torch.Tensor) -> dict[str, torch.Tensor]:
        """The logits of each token."""
        return {"logits": self.language(states)}
