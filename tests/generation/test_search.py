"""Greedy decoding against `generate` of transformers, and what rows of a batch do to each other: nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from graftc.runtime.errors import BundleError
from graftc.runtime.generation import Options, generate

from . import models

STOP = (1, 5)
PROMPTS = [np.random.default_rng(0).integers(2, models.VOCABULARY, n).tolist() for n in (3, 9, 1, 6, 12)]
# our words, and those of transformers
SETTINGS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {}),
    ({"repetition_penalty": 1.4}, {"repetition_penalty": 1.4}),
    ({"repetition_penalty": 0.8}, {"repetition_penalty": 0.8}),
    ({"no_repeat_ngram": 2}, {"no_repeat_ngram_size": 2}),
    ({"no_repeat_ngram": 3, "min_new_tokens": 40}, {"no_repeat_ngram_size": 3, "min_new_tokens": 40}),
    ({"suppressed": (51, 30), "suppressed_first": (6,)}, {"suppress_tokens": [51, 30], "begin_suppress_tokens": [6]}),
]
FORCED = [
    ({"forced_first": 7, "forced_last": 1}, {"forced_bos_token_id": 7, "forced_eos_token_id": 1}),
    (
        {"forced_first": 7, "suppressed_first": (36,), "no_repeat_ngram": 2},
        {"forced_bos_token_id": 7, "begin_suppress_tokens": [36], "no_repeat_ngram_size": 2},
    ),
]


def name(setting: Any) -> str:
    return "-".join(setting) or "plain" if isinstance(setting, dict) else ""


@pytest.mark.parametrize(("ours", "theirs"), SETTINGS, ids=name)
@pytest.mark.parametrize("decoder", models.DECODERS)
def test_greedy_answers_are_those_of_generate(decoder: str, ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    model = models.tiny(decoder)
    # transformers counts padding among n-grams: where that matters, it is asked one prompt at a time
    batches = [[prompt] for prompt in PROMPTS] if "no_repeat_ngram" in ours else [PROMPTS]
    wanted = []
    for batch in batches:
        ids, mask = models.padded(batch)
        rows = model.generate(
            ids,
            attention_mask=mask,
            do_sample=False,
            max_new_tokens=64,
            eos_token_id=list(STOP),
            pad_token_id=0,
            **theirs,
        )
        wanted += [models.written(row, ids.shape[1], STOP) for row in rows]
    steps = models.TorchSteps(model)
    found = generate(steps, PROMPTS, Options(max_new_tokens=64, stop_tokens=STOP, **ours))
    for prompt, (answer,), tokens in zip(PROMPTS, found, wanted, strict=True):
        models.assert_same_but_for_ties(model, prompt, answer.tokens, tokens)
        assert answer.finish_reason == ("eos_token" if answer.tokens[-1] in STOP else "length")
    assert len({tokens[:5] for tokens in wanted}) > 1, "answers that vary"
    lengths = sorted(len(answer.tokens) for (answer,) in found)
    assert steps.sizes == [sum(length > step for length in lengths) for step in range(lengths[-1])], "ended rows leave"


@pytest.mark.parametrize(("ours", "theirs"), [*SETTINGS[:4], *FORCED], ids=name)
def test_greedy_answers_of_an_encoder_decoder_are_those_of_generate(
    ours: dict[str, Any], theirs: dict[str, Any]
) -> None:
    model = models.tiny("t5")
    ids, mask = models.padded(PROMPTS)
    rows = model.generate(
        ids, attention_mask=mask, do_sample=False, max_new_tokens=20, eos_token_id=list(STOP), pad_token_id=0, **theirs
    )
    steps = models.SourceSteps(model, PROMPTS)
    found = generate(steps, [[models.PAD]] * len(PROMPTS), Options(max_new_tokens=20, stop_tokens=STOP, **ours))
    assert [answer.tokens for (answer,) in found] == [models.written(row, 1, STOP) for row in rows]


@pytest.mark.parametrize("options", [{}, {"temperature": 1.0, "seed": 3}, {"beams": 3}], ids=name)
def test_a_score_is_the_likelihood_that_the_model_gives(options: dict[str, Any]) -> None:
    """Before penalties and temperature, the stop token included."""
    model = models.tiny("llama")
    asked = Options(
        max_new_tokens=20, stop_tokens=STOP, log_probabilities=True, repetition_penalty=1.2, top_k=0, **options
    )
    for prompt, (answer,) in zip(PROMPTS, generate(models.TorchSteps(model), PROMPTS, asked), strict=True):
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([[*prompt, *answer.tokens]])).logits[0, len(prompt) - 1 : -1]
        likely = logits.log_softmax(-1)[torch.arange(len(answer.tokens)), list(answer.tokens)].tolist()
        assert answer.log_probabilities == pytest.approx(likely, abs=1e-4)
        assert answer.score == pytest.approx(sum(likely), abs=1e-3)


def test_log_probabilities_come_on_request_alone() -> None:
    ((answer,),) = generate(models.spelled(3, 4), [[2]], Options(max_new_tokens=2))
    assert answer.log_probabilities is None
    assert answer.text is None
    assert answer.tokens == (3, 4)


def test_an_answer_ends_at_its_stop_token_or_at_its_length() -> None:
    model = [3, 4, 1, 6]
    for most, tokens, reason in ((2, (3, 4), "length"), (3, (3, 4, 1), "eos_token"), (9, (3, 4, 1), "eos_token")):
        ((answer,),) = generate(models.spelled(*model), [[2]], Options(max_new_tokens=most, stop_tokens=(1,)))
        assert (answer.tokens, answer.finish_reason) == (tokens, reason)


def test_no_prompts_get_no_answers() -> None:
    assert generate(models.spelled(1), [], Options()) == []


def test_a_model_that_gives_no_numbers_is_refused() -> None:
    for beams in (1, 2):
        for logits, match in (
            ([1.0, np.nan, 2.0], "no number"),
            ([-np.inf] * 3, "no number"),
            ([np.inf, 1, 2], "no number"),
        ):
            with pytest.raises(BundleError, match=match):
                generate(models.FixedSteps(logits), [[0]], Options(beams=beams))

    class Flat(models.FixedSteps):
        def start(self, prompts: Any) -> np.ndarray:
            return super().start(prompts)[0]

    with pytest.raises(BundleError, match="3 logits for 1 rows"):
        generate(Flat([1.0, 2.0, 3.0]), [[0]], Options())


@pytest.mark.parametrize("more", [{}, {"temperature": 0.5}, {"beams": 2}], ids=name)
def test_options_that_leave_no_token_are_refused(more: dict[str, Any]) -> None:
    """After each token of three there is none that has not been there."""
    with pytest.raises(BundleError, match="no token") as caught:
        generate(models.FixedSteps([1.0, 2.0, 3.0]), [[0]], Options(no_repeat_ngram=1, **more))
    assert caught.value.code == "E0505"
    assert "no_repeat_ngram" in caught.value.help


def test_a_forced_token_that_the_model_lacks_is_refused() -> None:
    with pytest.raises(BundleError, match="token 3 is forced"):
        generate(models.FixedSteps([1.0, 2.0, 3.0]), [[0]], Options(forced_first=3))
