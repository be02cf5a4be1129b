"""Drawn tokens: which may be drawn, against transformers; how often each is, by chi-square; and what a seed fixes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from transformers.generation.logits_process import (
    LogitsProcessorList,
    MinPLogitsWarper,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from graftc.runtime.generation import Options, generate
from graftc.runtime.generation.sampling import chances_of, draw, generator

from . import models


def theirs(scores: np.ndarray, options: Options) -> np.ndarray:
    """The chances (vocabulary,) under transformers' warpers, in the order of `generate`."""
    warpers = LogitsProcessorList([TemperatureLogitsWarper(float(options.temperature))])
    if options.top_k:
        warpers.append(TopKLogitsWarper(options.top_k))
    if options.top_p < 1:
        warpers.append(TopPLogitsWarper(options.top_p))
    warpers.append(MinPLogitsWarper(options.min_p))
    warped = warpers(torch.zeros(1, 1, dtype=torch.int64), torch.tensor(scores)[None])
    return np.asarray(warped.softmax(-1)[0].numpy())


def spread(scores: np.ndarray, options: Options) -> np.ndarray:
    ids, chances = chances_of(scores, options)
    assert (np.diff(ids) > 0).all()
    found = np.zeros(len(scores), np.float32)
    found[ids] = chances
    return found


SETTINGS: list[dict[str, Any]] = [
    {"temperature": t, "top_k": k, "top_p": p, "min_p": m}
    for t in (0.3, 1.0, 1.7)
    for k in (0, 1, 5, 50, 10**6)
    for p, m in ((1.0, 0.0), (0.9, 0.0), (0.3, 0.0), (1e-9, 0.0), (1.0, 0.05), (1.0, 1.0), (0.8, 0.2))
]


@pytest.mark.parametrize("vocabulary", [1, 6, 300, 5003])
def test_chances_are_those_of_transformers(vocabulary: int) -> None:
    for i, setting in enumerate(SETTINGS):
        scores = np.random.default_rng(i).normal(size=vocabulary).astype(np.float32) * 3
        options = Options(**setting)
        found, wanted = spread(scores, options), theirs(scores, options)
        np.testing.assert_array_equal(found > 0, wanted > 0, str(setting))
        np.testing.assert_allclose(found, wanted, atol=1e-6)


@pytest.mark.parametrize("vocabulary", [7, 300, 5003])
def test_equal_and_impossible_scores_are_treated_as_in_transformers(vocabulary: int) -> None:
    """Which of equal ones are left out is chance in transformers, how many is not."""
    for i, setting in enumerate(SETTINGS):
        rng = np.random.default_rng(i)
        scores = rng.integers(-2, 3, vocabulary).astype(np.float32)
        scores[rng.random(vocabulary) < 0.3] = -np.inf
        scores[rng.integers(vocabulary)] = 1
        # a share that equal ones reach exactly is a matter of rounding
        options = Options(**setting | {"top_p": 0.98717 * setting["top_p"] if setting["top_p"] < 1 else 1})
        found, wanted = np.sort(spread(scores, options)), np.sort(theirs(scores, options))
        np.testing.assert_allclose(found, wanted, atol=1e-6, err_msg=str(setting))


def test_all_scores_are_equal() -> None:
    for vocabulary in (4, 10, 1000):
        for p in (0.1234, 0.2512, 0.5678, 0.9123):
            options, scores = Options(temperature=1.0, top_k=0, top_p=p), np.zeros(vocabulary, np.float32)
            assert (spread(scores, options) > 0).sum() == (theirs(scores, options) > 0).sum()


@pytest.mark.parametrize("setting", [{"top_k": 0}, {"top_k": 12, "temperature": 1.6}, {"top_p": 0.9}, {"min_p": 0.1}])
def test_tokens_are_drawn_by_their_chances(setting: dict[str, Any]) -> None:
    scores = np.random.default_rng(2).normal(size=30).astype(np.float32) * 1.5
    options = Options(**{"temperature": 1.0} | setting)
    wanted, count, source = theirs(scores, options).astype(np.float64), 20_000, np.random.default_rng(4)
    drawn = np.bincount([draw(scores, options, source) for _ in range(count)], minlength=30)
    possible = wanted > 0
    assert not drawn[~possible].any()
    expected = wanted[possible] / wanted.sum() * count
    chi_square = ((drawn[possible] - expected) ** 2 / expected).sum()
    freedom = possible.sum() - 1
    assert chi_square < freedom + 4 * np.sqrt(2 * freedom), "four standard deviations above the mean"


def test_a_draw_reaches_every_token_and_no_other() -> None:
    """The least and the greatest number that a generator gives."""

    class Fixed:
        def __init__(self, number: float) -> None:
            self.number = number

        def random(self) -> float:
            return self.number

    scores = np.array([-np.inf, 1.0, 2.0, -np.inf, 1.5, -np.inf], np.float32)
    options = Options(temperature=1.0)
    assert draw(scores, options, Fixed(0.0)) == 1
    assert draw(scores, options, Fixed(np.nextafter(1, 0))) == 4
    assert draw(np.zeros(4, np.float32), options, Fixed(0.5)) == 2


def test_the_least_temperature_is_greedy_and_masked_scores_stay_out() -> None:
    """Models mask tokens with the least float as well as with -inf."""
    scores = np.array([np.finfo(np.float32).min, 1.0, 2.0, -np.inf, 2.0], np.float32)
    for temperature in (5e-324, 1e-20, 1e-3):
        assert spread(scores, Options(temperature=temperature)).tolist() == [0, 0, 0.5, 0, 0.5]
    assert (spread(scores, Options(temperature=0.5)) > 0).tolist() == [False, True, True, False, True]
    options = Options(temperature=0.5, seed=0, repetition_penalty=1.5, max_new_tokens=3)
    ((answer,),) = generate(models.FixedSteps(scores), [[0, 1, 2]], options)
    assert not {0, 3} & set(answer.tokens)


PROMPTS = [[3, 4, 5], [8], [3, 4, 5], [9, 10, 11, 12, 13, 14, 15]]


def answers(prompts: list[list[int]], seed: int | None, **more: Any) -> list[list[tuple[int, ...]]]:
    options = Options(temperature=1.5, top_k=0, max_new_tokens=12, stop_tokens=(1, 7, 20, 33), seed=seed, **more)
    found = generate(models.TorchSteps(models.tiny("llama")), prompts, options)
    return [[answer.tokens for answer in each] for each in found]


def test_a_seed_fixes_answers_whatever_else_is_in_the_batch() -> None:
    together = answers(PROMPTS, 11, sequences=3)
    assert together == answers(PROMPTS, 11, sequences=3)
    assert together[0] == together[2], "equal prompts get equal answers"
    for prompt, found in zip(PROMPTS, together, strict=True):
        assert answers([prompt], 11, sequences=3) == [found]
        assert answers([prompt], 11) == [found[:1]], "of several sequences the first is the only one of one"
    assert len({tokens for each in together for tokens in each}) == 9, "sequences differ"
    assert answers(PROMPTS, 12, sequences=3) != together


def test_without_a_seed_each_call_draws_differently() -> None:
    assert answers(PROMPTS, None) != answers(PROMPTS, None)


def test_keys_tell_equal_prompts_apart() -> None:
    """The decoder of an encoder-decoder begins alike for all sources."""
    options = Options(temperature=1.5, top_k=0, max_new_tokens=12, seed=1)
    keys = [[5, 6], [5, 7], [5, 6]]
    one, two, three = generate(models.FixedSteps(np.zeros(50)), [[0]] * 3, options, keys=keys)
    assert one == three != two


def test_generators_of_answers_are_independent() -> None:
    """The first numbers that many generators draw are spread evenly."""
    found = [generator(seed, n, [key]).random() for seed in range(8) for n in range(8) for key in range(16)]
    counts = np.histogram(found, bins=16, range=(0, 1))[0]
    assert len(set(found)) == len(found)
    assert ((counts - 64) ** 2 / 64).sum() < 15 + 4 * np.sqrt(30)
