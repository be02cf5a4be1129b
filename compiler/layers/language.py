"""transformers' language-model heads, separated from their backbone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from types import SimpleNamespace
from typing import Any

import torch
from torch import nn
from transformers.modeling_outputs import BaseModelOutputWithPastAndCrossAttentions

from .head import HeadModule


class LanguageModel(nn.Module):
    """States (…, width) in, logits over the vocabulary (…, words) out; for decoders, states are (rows, tokens, width).

    `model` is one of transformers' ForMaskedLM or ForCausalLM, whose backbone is replaced by a stub that passes states
    on. A weight that the head shares with the word embedding stays the backbone's: it learns there, and is no tensor
    here.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        lent = {id(parameter) for parameter in self._take_out()}
        self.words = [module for module, name, parameter in _places(model) if id(parameter) in lent]
        for module in self.words:
            del module._parameters["weight"]
        _part_tied(model)

    def _take_out(self) -> Iterator[nn.Parameter]:
        """Replaces the backbone in the model by a stub; the parameters of what is taken out."""
        backbone = getattr(self.model, self.model.base_model_prefix)
        setattr(self.model, self.model.base_model_prefix, States())
        yield from backbone.parameters()

    def _put_back(self, backbone: nn.Module) -> None:
        """Puts a backbone into the model in place of the stub."""
        setattr(self.model, self.model.base_model_prefix, backbone)

    def tie(self, backbone: Any) -> None:
        """Shares the word embedding of a backbone, if the head's decoder uses it."""
        embedding = backbone.get_input_embeddings()
        for module in self.words:
            module.__dict__["weight"] = embedding.weight  # not registered, so that it belongs to the backbone alone
        states = getattr(self.model, self.model.base_model_prefix, self.model)
        states.__dict__["embeddings"] = SimpleNamespace(word_embeddings=embedding)  # DeBERTa v3 reads it there

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """The logits of every state."""
        found: torch.Tensor = self.model(inputs_embeds=states).logits
        return found

    def whole(self, backbone: nn.Module) -> Any:
        """The transformers model with a backbone in place of the stub, for saving; the head is unusable afterwards."""
        self.tie(backbone)
        self._put_back(backbone)
        for module in self.words:
            module._parameters["weight"] = module.__dict__.pop("weight")
        return self.model


class States(nn.Module):
    """A stub in place of a backbone, which returns its input."""

    def forward(self, *positional: Any, inputs_embeds: torch.Tensor, **named: Any) -> Any:
        """The states that are given, as a backbone returns its own."""
        return BaseModelOutputWithPastAndCrossAttentions(last_hidden_state=inputs_embeds)


def _places(model: nn.Module) -> list[tuple[nn.Module, str, nn.Parameter]]:
    """Every registration of a parameter: (module, name in it, parameter)."""
    return [
        (module, name, parameter)
        for module in model.modules()
        for name, parameter in module._parameters.items()
        if parameter is not None
    ]


def _part_tied(model: Any) -> None:
    """Registers a parameter with two names under one of them, such as a decoder's bias that its owner has too."""
    seen: set[int] = set()
    for module, name, parameter in _places(model):
        if id(parameter) in seen:
            del module._parameters[name]
            module.__dict__[name] = parameter
        seen.add(id(parameter))


class WordHead(HeadModule):
    """A head over the vocabulary, made of a backbone's language model; they share the word embedding."""

    def __init__(self, language: LanguageModel) -> None:
        super().__init__()
        self.language = language

    def tie(self, backbone: Any) -> None:
        """Shares the word embedding of a backbone."""
        self.language.tie(backbone)


class MaskFiller(WordHead):
    """States (rows, tokens, width) in, logits of masked tokens (rows, masks, words) out.

    Rows with fewer masks are padded with zeros. It reads the arrays `input_ids` and, in training, `chosen` (rows,
    tokens), which marks chosen tokens that were not replaced by the mask.
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
        count = ranks[:, -1].max().clamp(min=1)  # some kernels fail on an axis of length zero
        wanted = torch.arange(1, count + 1, device=states.device)[None, :, None]
        picked = (masked[:, None, :] & (ranks[:, None, :] == wanted)).to(states.dtype)
        found = picked @ states
        # with two dimensions a linear layer uses its weight as stored, so the graph does not transpose it
        logits = self.language(found.flatten(0, 1))
        return {"logits": logits.view(found.shape[0], -1, logits.shape[-1])}


class NextWords(WordHead):
    """States (rows, tokens, width) in, logits of the next word after each token (rows, tokens, words) out."""

    def forward(self, states: torch.Tensor) -> dict[str, torch.Tensor]:
        """The logits after each token."""
        return {"logits": self.language(states)}


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
