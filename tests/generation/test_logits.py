"""Changes of scores against the processors of transformers, in the order in which its `generate` applies them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import GenerationConfig

from graftc.runtime.generation.logits import NONE, padded, processed
from graftc.runtime.generation.options import Options
from graftc.runtime.generation.ranking import kth_largest, largest

from . import models

V = 40


def scores(seed: int, rows: int = 3, vocabulary: int = V) -> np.ndarray:
    """Random logits, of which some are equal, some 0, and some -inf."""
    rng = np.random.default_rng(seed)
    found = rng.normal(size=(rows, vocabulary)).astype(np.float32) * 4
    found[:, 5:9] = found[:, 4:5]
    found[:, 9] = 0.0
    found[:, 10:13] = -np.inf
    return found


def theirs(found: np.ndarray, tokens: list[list[int]], prompt: int, model: str = "gpt2", **words: Any) -> np.ndarray:
    """What `generate` of transformers makes of scores after tokens (rows, length), the first `prompt` of them given."""
    config = GenerationConfig(pad_token_id=0, max_length=prompt + words.pop("max_new_tokens", 20), **words)
    owner = models.tiny(model)
    owner._prepare_special_tokens(config, True, device="cpu", batch_size=len(tokens))
    ids = torch.tensor(tokens)
    list_of = owner._get_logits_processor(
        config,
        input_ids_seq_length=prompt,
        device="cpu",
        model_kwargs={"attention_mask": torch.ones_like(ids[:, :prompt])},
    )
    return np.asarray(list_of(ids, torch.tensor(found)).numpy())


CASES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"repetition_penalty": 1.3}, {"repetition_penalty": 1.3}),
    ({"repetition_penalty": 0.5}, {"repetition_penalty": 0.5}),
    ({"no_repeat_ngram": 1}, {"no_repeat_ngram_size": 1}),
    ({"no_repeat_ngram": 2}, {"no_repeat_ngram_size": 2}),
    ({"no_repeat_ngram": 3}, {"no_repeat_ngram_size": 3}),
    ({"no_repeat_ngram": 30}, {"no_repeat_ngram_size": 30}),
    ({"min_new_tokens": 3, "stop_tokens": (4, 7)}, {"min_new_tokens": 3, "eos_token_id": [4, 7]}),
    ({"min_new_tokens": 4, "stop_tokens": (4, 7)}, {"min_new_tokens": 4, "eos_token_id": [4, 7]}),
    ({"forced_last": 7, "max_new_tokens": 4}, {"forced_eos_token_id": 7, "max_new_tokens": 4}),
    ({"forced_last": 7, "max_new_tokens": 5}, {"forced_eos_token_id": 7, "max_new_tokens": 5}),
    ({"suppressed": (3, 8)}, {"suppress_tokens": [3, 8]}),
    (
        {"forced_last": 7, "max_new_tokens": 4, "suppressed": (8,)},
        {"forced_eos_token_id": 7, "max_new_tokens": 4, "suppress_tokens": [8]},
    ),
    (
        {"repetition_penalty": 2.0, "no_repeat_ngram": 2, "min_new_tokens": 9, "stop_tokens": (1,)},
        {"repetition_penalty": 2.0, "no_repeat_ngram_size": 2, "min_new_tokens": 9, "eos_token_id": 1},
    ),
]


@pytest.mark.parametrize(("ours", "words"), CASES, ids=lambda case: "-".join(case))
@pytest.mark.parametrize("seed", range(3))
def test_scores_are_those_of_transformers(ours: dict[str, Any], words: dict[str, Any], seed: int) -> None:
    tokens = np.random.default_rng(seed).integers(0, 12, (3, 10)).tolist()  # few, so that some come again
    found = scores(seed)
    before = found.copy()
    changed = processed(found, np.array(tokens), 3, Options(**ours))
    np.testing.assert_allclose(changed, theirs(found, tokens, 7, **words), rtol=1e-6)
    np.testing.assert_array_equal(found, before, "what is given stays as it is")


@pytest.mark.parametrize("new", [0, 1])
@pytest.mark.parametrize("forced", [7, None])
def test_first_tokens_are_those_of_transformers(forced: int | None, new: int) -> None:
    """A decoder begins with one token, and transformers takes the number of tokens for the place."""
    tokens, found = [[0, 3][: new + 1]] * 3, scores(1)
    words = {"forced_bos_token_id": forced, "begin_suppress_tokens": [4, 9]}
    options = Options(forced_first=forced, suppressed_first=(4, 9))
    wanted = theirs(found, tokens, 1, **{name: value for name, value in words.items() if value is not None})
    np.testing.assert_array_equal(processed(found, np.array(tokens), new, options), wanted)


def test_shorter_prompts_count_no_padding() -> None:
    """A row beside a longer one gets the scores that it gets alone."""
    rng = np.random.default_rng(0)
    prompts = [rng.integers(0, 4, n).tolist() for n in (1, 4, 9, 2)]
    found = scores(2, rows=4)
    for options in (Options(repetition_penalty=1.5), *(Options(no_repeat_ngram=n) for n in (1, 2, 3, 4))):
        together = processed(found, padded(prompts), 0, options)
        for i, prompt in enumerate(prompts):
            np.testing.assert_array_equal(together[i], processed(found[i : i + 1], np.array([prompt]), 0, options)[0])
    assert padded(prompts)[0].tolist() == [NONE] * 8 + prompts[0]
    assert padded([[], []]).shape == (2, 0)


def test_tokens_that_the_model_can_not_say_count_nothing() -> None:
    """Some vocabularies are larger than what a model answers with."""
    found, tokens = scores(3, rows=1), [[V + 5, 3, V, 3, V + 5]]
    for ours, words in (CASES[0], CASES[2], CASES[3]):
        wanted = theirs(found, tokens, 3, **words)
        np.testing.assert_allclose(processed(found, np.array(tokens), 2, Options(**ours)), wanted, rtol=1e-6)
    assert np.isfinite(processed(found, np.array(tokens), 2, Options(suppressed=(V + 1,)))[0, 20:]).all()


@settings(deadline=None, max_examples=60)
@given(
    values=st.lists(st.sampled_from([-np.inf, -1.0, 0.0, 0.5, 2.0, 3.0]), min_size=1, max_size=40),
    times=st.sampled_from([1, 40, 100]),
    k=st.integers(1, 300),
    seed=st.integers(0, 9),
)
def test_the_largest_are_those_of_a_stable_sort(values: list[float], times: int, k: int, seed: int) -> None:
    numbers = np.random.default_rng(seed).permutation(np.tile(np.array(values, np.float32), times))
    order = np.argsort(-numbers, kind="stable")[:k]
    np.testing.assert_array_equal(largest(numbers, k), order)
    assert kth_largest(numbers, len(order)) == numbers[order[-1]]
