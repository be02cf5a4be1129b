"""Beam search against `generate` of transformers: sequences and their scores, over several prompts at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from graftc.runtime.errors import BundleError
from graftc.runtime.generation import Generated, Options, generate

from . import models

PROMPTS = [np.random.default_rng(5).integers(2, models.VOCABULARY, n).tolist() for n in (4, 11, 1, 7)]
# our words, and those of transformers where they differ
WORDS = {
    "beams": "num_beams",
    "sequences": "num_return_sequences",
    "no_repeat_ngram": "no_repeat_ngram_size",
    "forced_first": "forced_bos_token_id",
    "forced_last": "forced_eos_token_id",
    "stop_tokens": "eos_token_id",
    "suppressed": "suppress_tokens",
}
STOP = tuple(range(1, 60, 5))  # so many that most answers end by themselves
SETTINGS: list[dict[str, Any]] = [
    {"stop_tokens": (1, 5)},
    {"sequences": 4, "length_penalty": 2.0},
    {"sequences": 2, "length_penalty": 0.0, "early_stopping": True},
    {
        "sequences": 3,
        "beams": 3,
        "length_penalty": 2.0,
        "early_stopping": "never",
        "stop_tokens": tuple(range(1, 60, 2)),
    },
    {"length_penalty": -1.0, "early_stopping": "never"},
    {"length_penalty": -1.5, "sequences": 3, "beams": 3},
    {"stop_tokens": (), "beams": 5, "sequences": 5},
    {"repetition_penalty": 1.5, "min_new_tokens": 6, "sequences": 2},
    {"no_repeat_ngram": 2, "suppressed": (8, 51), "early_stopping": True},
    {"max_new_tokens": 1, "sequences": 4},
]
EXTREMES = (-10.0, -6.5, 10.0)
FORCED: list[dict[str, Any]] = [{"forced_first": 7, "forced_last": 1, "sequences": 4}, {"forced_first": 1}]


def name(setting: Any) -> str:
    return "-".join(f"{word}={value}" for word, value in setting.items()) or "plain"


def theirs(model: Any, prompts: list[list[int]], options: dict[str, Any]) -> list[list[tuple[tuple[int, ...], float]]]:
    """The answers of transformers to each prompt, with their scores."""
    ids, mask = models.padded(prompts)
    words = {WORDS.get(word, word): list(v) if isinstance(v, tuple) else v for word, v in options.items()}
    words["eos_token_id"] = words["eos_token_id"] or None
    found = model.generate(
        ids,
        attention_mask=mask,
        do_sample=False,
        pad_token_id=0,
        return_dict_in_generate=True,
        output_scores=True,
        **words,
    )
    after = 1 if model.config.is_encoder_decoder else ids.shape[1]
    rows = [models.written(row, after, options["stop_tokens"]) for row in found.sequences]
    pairs = list(zip(rows, found.sequences_scores.tolist(), strict=True))
    count = options.get("sequences", 1)
    return [pairs[i : i + count] for i in range(0, len(pairs), count)]


def assert_same(found: list[tuple[Generated, ...]], wanted: list[list[tuple[tuple[int, ...], float]]]) -> None:
    """The same scores, and the same tokens but where two scores are as good as equal."""
    for answers, pairs in zip(found, wanted, strict=True):
        scores = [answer.beam_score for answer in answers]
        assert scores == pytest.approx([score for _, score in pairs], rel=1e-4, abs=1e-4)
        for answer, (_, score) in zip(answers, pairs, strict=True):
            near = [own for own, other in pairs if abs(other - score) <= 1e-4 * max(1, abs(score))]
            assert answer.tokens in near


@pytest.mark.parametrize("setting", SETTINGS, ids=name)
@pytest.mark.parametrize("decoder", models.DECODERS)
def test_beams_are_those_of_generate(decoder: str, setting: dict[str, Any]) -> None:
    model = models.tiny(decoder)
    options = {"beams": 4, "max_new_tokens": 20, "stop_tokens": STOP} | setting
    # transformers counts padding among n-grams
    batches = [[prompt] for prompt in PROMPTS] if "no_repeat_ngram" in options else [PROMPTS]
    wanted = [each for batch in batches for each in theirs(model, batch, options)]
    steps = models.TorchSteps(model)
    found = generate(steps, PROMPTS, Options(**options))
    assert_same(found, wanted)
    assert all(size % options["beams"] == 0 for size in steps.sizes[1:])
    is_end = [answer.tokens[-1] in options["stop_tokens"] for answers in found for answer in answers]
    assert is_end == [answer.finish_reason == "eos_token" for answers in found for answer in answers]
    assert any(is_end) or len(options["stop_tokens"]) < 3, "answers that end by themselves"


@pytest.mark.parametrize("setting", [{"repetition_penalty": 1.3}, {"no_repeat_ngram": 1}], ids=name)
def test_prompts_that_are_done_leave_the_batch_and_change_no_other(setting: dict[str, Any]) -> None:
    options = Options(beams=3, max_new_tokens=20, stop_tokens=STOP, early_stopping=True, **setting)
    alone = [generate(models.TorchSteps(models.tiny("llama")), [prompt], options)[0] for prompt in PROMPTS]
    for order in ([0, 1, 2, 3], [3, 2, 1, 0]):
        steps = models.TorchSteps(models.tiny("llama"))
        found = generate(steps, [PROMPTS[i] for i in order], options)
        assert steps.sizes[1:] == sorted(steps.sizes[1:], reverse=True)
        assert len(set(steps.sizes[1:])) > 1
        assert [each[0].tokens for each in found] == [alone[i][0].tokens for i in order]


@pytest.mark.parametrize("setting", [*SETTINGS[:5], *FORCED], ids=name)
def test_beams_of_an_encoder_decoder_are_those_of_generate(setting: dict[str, Any]) -> None:
    model = models.tiny("t5")
    options = {"beams": 4, "max_new_tokens": 10, "stop_tokens": STOP} | setting
    found = generate(models.SourceSteps(model, PROMPTS), [[models.PAD]] * len(PROMPTS), Options(**options))
    assert_same(found, theirs(model, PROMPTS, options))


def test_there_are_fewer_answers_where_options_leave_fewer() -> None:
    """A first token that ends the answer is the only answer."""
    options = Options(beams=3, sequences=3, forced_first=1, stop_tokens=(1,))
    (answers,) = generate(models.spelled(4, 5, 6), [[2]], options)
    assert [answer.tokens for answer in answers] == [(1,)]


@pytest.mark.parametrize("setting", [{}, {"repetition_penalty": 1.5}], ids=name)
def test_likely_sequences_keep_the_precision_of_their_scores(setting: dict[str, Any]) -> None:
    """Of large logits, which single precision can't tell from their sum of exponentials."""
    logits = np.array([900.0, 891.0, 890.0])
    options = Options(beams=2, max_new_tokens=10, length_penalty=0.0, **setting)
    ((answer,),) = generate(models.FixedSteps(logits), [[2]], options)
    first = -np.log1p(np.exp(-9.0) + np.exp(-10.0))
    penalty = setting.get("repetition_penalty", 1)
    assert answer.tokens == (0,) * 10
    assert answer.beam_score == pytest.approx(first * (1 + 9 * penalty), rel=1e-3)


def test_more_beams_than_tokens_are_refused() -> None:
    with pytest.raises(BundleError, match="`beams` is 4, and the model has 3 tokens"):
        generate(models.FixedSteps([1.0, 2.0, 3.0]), [[0]], Options(beams=4))


def test_as_many_beams_as_tokens_search_all_sequences() -> None:
    """The best of the nine sequences of two tokens."""
    first, second = np.log([0.5, 0.3, 0.2]), np.log([0.6, 0.3, 0.1])
    options = Options(beams=3, sequences=3, max_new_tokens=2)
    (answers,) = generate(models.FixedSteps(first, second), [[0]], options)
    assert [answer.tokens for answer in answers] == [(0, 0), (1, 0), (0, 1)]
    assert [answer.score for answer in answers] == pytest.approx(np.log([0.3, 0.18, 0.15]).tolist(), abs=1e-5)
    assert [answer.beam_score for answer in answers] == pytest.approx(
        (np.log([0.3, 0.18, 0.15]) / 2).tolist(), abs=1e-5
    )


@pytest.mark.parametrize("penalty", EXTREMES)
def test_every_place_has_an_answer_however_length_weighs(penalty: float) -> None:
    """Scores over a length to such a power are beyond the score of a place that nothing has taken."""
    model = models.tiny("gpt2")
    for stop in ((), STOP):
        options = Options(
            beams=3, sequences=3, max_new_tokens=40, length_penalty=penalty, stop_tokens=stop, early_stopping=False
        )
        for answers in generate(models.TorchSteps(model), PROMPTS, options):
            assert len(answers) == 3
            scores = [answer.beam_score for answer in answers]
            assert scores == sorted(scores, key=lambda score: -(score or 0))
            for answer in answers:
                assert answer.beam_score == pytest.approx(answer.score / len(answer.tokens) ** penalty, rel=1e-4)
