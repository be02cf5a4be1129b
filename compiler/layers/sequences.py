"""Encoder-decoders: their language-model head, and the two graphs that decoding runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import nn

from ...runtime.cache import DECODER, ENCODER, cross_names, past_names, present_names
from .caches import arrays_of, cache_of, paired
from .generation import Writer
from .language import LanguageModel, States, in_two_dimensions

STACKS = ("encoder", "decoder")


def share_embedding(module: Any) -> Any:
    """Registers the embedding that both stacks share under the module's own name for it alone."""
    for name in STACKS:
        embedding = getattr(module, name).embed_tokens
        del embedding._parameters["weight"]
        embedding.__dict__["weight"] = module.shared.weight
    return module


def fix_positions(module: Any) -> Any:
    """Makes positions that nothing trains a constant, which is no tensor of a checkpoint."""
    for name in STACKS:
        positions = getattr(module, name).embed_positions
        if isinstance(positions, nn.Embedding):  # others compute them, and keep them as a constant already
            weight = positions._parameters.pop("weight")
            assert weight is not None
            positions.register_buffer("weight", weight.detach(), persistent=False)
    return module


class SequenceToSequence(LanguageModel):
    """A language model whose states are the decoder's: transformers' model for conditional generation."""

    def _take_out(self) -> Iterator[nn.Parameter]:
        base = self.model.base_model  # of T5 the model itself
        for name in ("shared", *STACKS):
            yield from getattr(base, name).parameters()
        for name in STACKS:
            setattr(base, name, States())
        del base.shared
        if (bias := self.model._buffers.pop("final_logits_bias", None)) is not None:
            self.model.__dict__["final_logits_bias"] = bias  # nothing trains it, and old checkpoints lack it

    def _put_back(self, backbone: Any) -> None:
        for name in ("shared", *STACKS):
            setattr(self.model.base_model, name, getattr(backbone, name))
        if (bias := self.model.__dict__.pop("final_logits_bias", None)) is not None:
            self.model.register_buffer("final_logits_bias", bias)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """The logits of every state of the decoder."""
        found: torch.Tensor = self.model(encoder_outputs=(states,), decoder_inputs_embeds=states).logits
        return found


class SequenceWriter(Writer):
    """Trained with its targets as the decoder's inputs: states (rows, tokens, width) of the decoder in."""

    def graphs(self, backbone: Any) -> Mapping[str, nn.Module]:
        """The graph of the encoder, and that of the decoder, which goes on from a cache."""
        return {ENCODER: EncoderPass(backbone), DECODER: DecoderPass(backbone, self.language)}


class EncoderPass(nn.Module):
    """Makes what a decoder's layers attend to.

    `input_ids` and `attention_mask` (rows, source) → by `cross_names`, keys and values (rows, heads, source, size).
    """

    def __init__(self, backbone: Any) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> dict[str, torch.Tensor]:
        """Keys and values of every layer: the backbone's own for a first token."""
        first = torch.zeros(input_ids.shape[0], 1, dtype=torch.long, device=input_ids.device)
        outputs = self.backbone(
            input_ids=input_ids, attention_mask=attention_mask, decoder_input_ids=first, use_cache=True
        )
        cross = arrays_of(outputs.past_key_values.cross_attention_cache)
        return dict(zip(cross_names(len(cross) // 2), cross, strict=True))


class DecoderPass(nn.Module):
    """A decoder and its head, from a cache on.

    `decoder_input_ids` (rows, new), `attention_mask` (rows, source), by `cross_names` what the encoder made, by
    `past_names` keys and values (rows, heads, past, size) → `logits` (rows, new, words) and by `present_names` keys and
    values (rows, heads, past + new, size).
    """

    def __init__(self, backbone: Any, language: LanguageModel) -> None:
        super().__init__()
        self.backbone = backbone
        self.language = language

    def forward(
        self, decoder_input_ids: torch.Tensor, attention_mask: torch.Tensor, **caches: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """Logits after each token, and the cache."""
        from transformers.cache_utils import EncoderDecoderCache
        from transformers.modeling_outputs import BaseModelOutput

        layers = len(caches) // 4
        cross, past = ([caches[name] for name in names(layers)] for names in (cross_names, past_names))
        cache = EncoderDecoderCache(cache_of(paired(past)), cache_of(paired(cross)))
        cache.is_updated = dict.fromkeys(range(layers), True)  # its own test asks a length, which a trace makes fixed
        rows, source = attention_mask.shape
        # only the shape of the encoder's states is read: layers attend to the keys and values that are there
        states = self._states(rows, source, decoder_input_ids.device)
        outputs = self.backbone(
            encoder_outputs=BaseModelOutput(last_hidden_state=states),
            attention_mask=attention_mask,
            decoder_input_ids=decoder_input_ids,
            past_key_values=cache,
            use_cache=True,
        )
        with in_two_dimensions(self.language):
            logits = self.language(outputs.last_hidden_state)
        present = arrays_of(outputs.past_key_values.self_attention_cache)
        return {"logits": logits, **dict(zip(present_names(layers), present, strict=True))}

    def _states(self, rows: int, source: int, device: torch.device) -> torch.Tensor:
        return torch.zeros(rows, source, self.backbone.config.hidden_size, device=device)
