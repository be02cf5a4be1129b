"""Tiny models of transformers, whose answers vary, as steps of decoding; `generate` of transformers is the other side."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    GPT2Config,
    LlamaConfig,
    PreTrainedModel,
    T5Config,
)
from transformers.cache_utils import DynamicCache, EncoderDecoderCache

PAD, VOCABULARY = 0, 61
TIE = 1e-4  # of the largest logit: nearer than that, two tokens are equally likely

DECODERS = ("gpt2", "llama")


@cache
def tiny(name: str) -> PreTrainedModel:
    """A model with weights so large that its next tokens depend on the ones before."""
    torch.manual_seed(7)
    special = {"pad_token_id": PAD, "eos_token_id": None, "bos_token_id": None}
    if name == "gpt2":
        config = GPT2Config(vocab_size=VOCABULARY, n_positions=128, n_embd=32, n_layer=2, n_head=4, **special)
        model = AutoModelForCausalLM.from_config(config)
    elif name == "llama":
        config = LlamaConfig(
            vocab_size=VOCABULARY, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, max_position_embeddings=128, **special,
        )  # fmt: skip
        model = AutoModelForCausalLM.from_config(config)
    else:
        config = T5Config(
            vocab_size=VOCABULARY, d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=4, decoder_start_token_id=PAD,
            tie_word_embeddings=False, pad_token_id=PAD, eos_token_id=None,
        )  # fmt: skip
        model = AutoModelForSeq2SeqLM.from_config(config)
    scale = {"gpt2": 12.0, "llama": 8.0, "t5": 1.5}[name]
    with torch.no_grad():
        for each in model.parameters():
            if each.ndim > 1:
                each.mul_(scale)
    return model.eval()


def padded(prompts: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Prompts and their mask, padded on the left, as `generate` wants them."""
    longest = max(map(len, prompts))
    ids = torch.tensor([[PAD] * (longest - len(prompt)) + list(prompt) for prompt in prompts])
    mask = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    return ids, mask


class TorchSteps:
    """A decoder of transformers, with its own cache; counts its runs."""

    def __init__(self, model: PreTrainedModel) -> None:
        self.model, self.cache, self.sizes = model, DynamicCache(config=model.config), []

    def start(self, prompts: Sequence[Sequence[int]]) -> np.ndarray:
        ids, self.mask = padded(prompts)
        return self._run(ids)

    def step(self, tokens: np.ndarray) -> np.ndarray:
        assert tokens.dtype == np.int64
        assert tokens.shape == (len(self.mask),)
        self.mask = torch.cat([self.mask, torch.ones(len(tokens), 1, dtype=torch.int64)], dim=1)
        return self._run(torch.from_numpy(tokens)[:, None])

    def keep(self, rows: np.ndarray) -> None:
        chosen = torch.from_numpy(rows)
        self.cache.reorder_cache(chosen)
        self.mask = self.mask[chosen]

    def _run(self, ids: torch.Tensor) -> np.ndarray:
        self.sizes.append(len(ids))
        positions = (self.mask.cumsum(1) - 1).clamp(0)[:, -ids.shape[1] :]
        with torch.no_grad():
            found = self.model(
                input_ids=ids, attention_mask=self.mask, position_ids=positions, past_key_values=self.cache
            )
        return found.logits[:, -1].numpy()


class SourceSteps:
    """An encoder-decoder of transformers, that has read its sources."""

    def __init__(self, model: PreTrainedModel, sources: Sequence[Sequence[int]]) -> None:
        self.model = model
        self.cache = EncoderDecoderCache(DynamicCache(config=model.config), DynamicCache(config=model.config))
        ids, self.mask = padded(sources)
        with torch.no_grad():
            self.states = model.get_encoder()(input_ids=ids, attention_mask=self.mask).last_hidden_state

    def start(self, prompts: Sequence[Sequence[int]]) -> np.ndarray:
        return self._run(torch.tensor([list(prompt) for prompt in prompts]))

    def step(self, tokens: np.ndarray) -> np.ndarray:
        return self._run(torch.from_numpy(tokens)[:, None])

    def keep(self, rows: np.ndarray) -> None:
        chosen = torch.from_numpy(rows)
        self.cache.reorder_cache(chosen)
        self.mask, self.states = self.mask[chosen], self.states[chosen]

    def _run(self, ids: torch.Tensor) -> np.ndarray:
        with torch.no_grad():
            found = self.model(
                encoder_outputs=(self.states,),
                attention_mask=self.mask,
                decoder_input_ids=ids,
                past_key_values=self.cache,
            )
        return found.logits[:, -1].numpy()


class FixedSteps:
    """Logits that are given, the same for all rows, step after step; the last ones stay."""

    def __init__(self, *logits: Any) -> None:
        self.logits, self.rows, self.at = [np.asarray(each, np.float32) for each in logits], 0, 0

    def start(self, prompts: Sequence[Sequence[int]]) -> np.ndarray:
        self.rows = len(prompts)
        return np.tile(self.logits[0], (self.rows, 1))

    def step(self, tokens: np.ndarray) -> np.ndarray:
        assert len(tokens) == self.rows
        self.at = min(self.at + 1, len(self.logits) - 1)
        return np.tile(self.logits[self.at], (self.rows, 1))

    def keep(self, rows: np.ndarray) -> None:
        assert rows.dtype == np.int64
        assert (rows < self.rows).all()
        self.rows = len(rows)


def spelled(*tokens: int, vocabulary: int = VOCABULARY) -> FixedSteps:
    """A model that says these tokens."""
    return FixedSteps(*(5.0 * (np.arange(vocabulary) == token) for token in tokens))


def written(row: torch.Tensor, after: int, stop_tokens: Sequence[int]) -> tuple[int, ...]:
    """The new tokens of a row that transformers generated, up to the first stop token."""
    new = row[after:].tolist()
    ends = [i for i, token in enumerate(new) if token in stop_tokens]
    return tuple(new[: ends[0] + 1] if ends else new)


def assert_same_but_for_ties(
    model: PreTrainedModel, prompt: Sequence[int], found: Sequence[int], wanted: Sequence[int]
) -> None:
    """At the first token that differs, torch finds both equally likely."""
    place = next((i for i, (a, b) in enumerate(zip(found, wanted, strict=False)) if a != b), None)
    if place is None:
        assert len(found) == len(wanted)
        return
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([[*prompt, *wanted[:place]]])).logits[0, -1]
    gap = (logits[found[place]] - logits[wanted[place]]).abs()
    assert gap < TIE * logits.abs().max(), f"token {place}: {found[place]} and not {wanted[place]}"
