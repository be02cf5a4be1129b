"""Options of a call: defaults, ranges, and what excludes each other."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
from pydantic import ValidationError

from graftc.compiler.cli._options import _help as help_of
from graftc.compiler.heads._generation import Generation
from graftc.runtime.errors import BundleError
from graftc.runtime.generation import CALL, Options, options_of
from graftc.runtime.generation.options import RANGES, WHOLE, check, trial


def test_defaults_decode_greedily() -> None:
    options = Options()
    assert not options.draws
    assert (options.max_new_tokens, options.top_k, options.beams, options.sequences) == (128, 50, 1, 1)


def test_a_call_may_say_every_option_but_the_tokens_of_the_model() -> None:
    own = {"stop_tokens", "forced_first", "forced_last", "suppressed", "suppressed_first"}
    assert {field.name for field in fields(Options)} - own == set(CALL)


def test_the_last_that_says_a_word_counts() -> None:
    found = options_of(
        {"temperature": 0.7, "stop": ["a", "b"], "top_k": 10}, {"stop_tokens": [3]}, {"top_k": None, "stop": "\n"}
    )
    assert found == Options(temperature=0.7, stop=("\n",), top_k=None, stop_tokens=(3,))


def test_lists_stand_for_tuples_and_a_text_for_one_stop_string() -> None:
    given: dict[str, Any] = {"stop": "a", "stop_tokens": [1, 2], "suppressed": [3]}
    assert Options(**given) == Options(stop=("a",), stop_tokens=(1, 2), suppressed=(3,))
    hash(Options(**given))


def test_an_unknown_word_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(BundleError, match="takes no option `max_length`") as caught:
        options_of({"max_length": 3})
    assert caught.value.code == "E0505"
    assert "max_new_tokens" in caught.value.notes[0]


@pytest.mark.parametrize(
    ("option", "wanted"),
    [
        ({"max_new_tokens": 0}, "`max_new_tokens` is 0, not a whole number from 1 to 1000000"),
        ({"max_new_tokens": True}, "`max_new_tokens` is True, not a whole number from 1 to 1000000"),
        ({"max_new_tokens": 2.0}, "`max_new_tokens` is 2.0, not a whole number from 1 to 1000000"),
        ({"max_new_tokens": None}, "`max_new_tokens` is None, not a whole number from 1 to 1000000"),
        ({"min_new_tokens": -1}, "`min_new_tokens` is -1, not a whole number from 0 to 1000000"),
        ({"top_k": -1}, "`top_k` is -1, not a whole number from 0 to 1000000"),
        ({"no_repeat_ngram": "2"}, "`no_repeat_ngram` is '2', not a whole number from 0 to 1000"),
        ({"beams": 0}, "`beams` is 0, not a whole number from 1 to 64"),
        ({"beams": 65}, "`beams` is 65, not a whole number from 1 to 64"),
        ({"sequences": 0}, "`sequences` is 0, not a whole number of at least 1"),
        ({"seed": -1}, "`seed` is -1, not a whole number of at least 0"),
        ({"temperature": -0.1}, "`temperature` is -0.1, not a number from 0 to 100"),
        ({"temperature": float("nan")}, "`temperature` is nan, not a number from 0 to 100"),
        ({"temperature": "hot"}, "`temperature` is 'hot', not a number from 0 to 100"),
        ({"temperature": 10**400}, f"`temperature` is {10**400}, not a number from 0 to 100"),
        ({"temperature": True}, "`temperature` is True, not a number from 0 to 100"),
        ({"top_p": 1.1}, "`top_p` is 1.1, not a number above 0, up to 1"),
        ({"top_p": 0.0}, "`top_p` is 0.0, not a number above 0, up to 1"),
        ({"min_p": -0.1}, "`min_p` is -0.1, not a number from 0 to 1"),
        ({"repetition_penalty": 0}, "`repetition_penalty` is 0, not a number above 0, up to 100"),
        ({"length_penalty": float("inf")}, "`length_penalty` is inf, not a number from -10 to 10"),
        ({"early_stopping": "always"}, "`early_stopping` is 'always', not true, false or `never`"),
        ({"early_stopping": 1.0}, "`early_stopping` is 1.0, not true, false or `never`"),
        ({"early_stopping": 1}, "`early_stopping` is 1, not true, false or `never`"),
        ({"log_probabilities": 1}, "`log_probabilities` is 1, not true or false"),
        ({"stop": ("a", "")}, "`stop` is ('a', ''), not a text or a list of texts, none of them empty"),
        ({"stop": 3}, "`stop` is 3, not a text or a list of texts, none of them empty"),
        ({"stop_tokens": (1, -1)}, "`stop_tokens` is (1, -1), not a list of numbers of tokens"),
        ({"suppressed": 1}, "`suppressed` is 1, not a list of numbers of tokens"),
        ({"forced_first": -1}, "`forced_first` is -1, not the number of a token"),
        ({"forced_last": 1.5}, "`forced_last` is 1.5, not the number of a token"),
        ({"min_new_tokens": 4, "max_new_tokens": 3}, "`min_new_tokens` is 4, and `max_new_tokens` 3"),
        ({"beams": 2, "temperature": 0.7}, "beam search draws no token, and `temperature` is 0.7"),
        ({"beams": 2, "top_p": 0.7}, "beam search draws no token, and `top_p` is 0.7"),
        ({"beams": 2, "min_p": 0.7}, "beam search draws no token, and `min_p` is 0.7"),
        ({"beams": 2, "sequences": 3}, "`sequences` is 3, and 2 beams make 2"),
        ({"sequences": 3}, "`sequences` is 3, and greedy decoding makes one"),
        ({"forced_first": 3, "suppressed": (2, 3)}, "token 3 is in `forced_first` and in `suppressed`"),
        ({"forced_last": 2, "suppressed": (2, 3)}, "token 2 is in `forced_last` and in `suppressed`"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_what_can_not_be_is_refused(option: dict[str, Any], wanted: str) -> None:
    with pytest.raises(BundleError) as caught:
        Options(**option)
    assert caught.value.code == "E0505"
    assert caught.value.message == wanted


@pytest.mark.parametrize(
    "option",
    [
        {"top_k": 0}, {"top_p": 0.01}, {"min_p": 1}, {"temperature": 1}, {"length_penalty": -1}, {"early_stopping": "never"},
        {"sequences": 3, "temperature": 0.5}, {"sequences": 3, "beams": 3}, {"seed": 0}, {"min_new_tokens": 128},
    ],
    ids=str,
)  # fmt: skip
def test_what_can_be_is_taken(option: dict[str, Any]) -> None:
    assert all(getattr(Options(**option), name) == value for name, value in option.items())


@pytest.mark.parametrize("name", sorted({*RANGES, *WHOLE} & {*Generation.model_fields}))
def test_a_spec_and_a_call_have_one_range(name: str) -> None:
    least, most = {**RANGES, **WHOLE}[name]
    kind = type(Generation.model_fields[name].default)
    neutral = {"max_new_tokens": 1_000_000} if name == "min_new_tokens" else {}
    for value in (least - 1, least, kind(0), most, (most or 0) + 1):
        given = {**neutral, name: value}
        assert _is_taken(Generation, given) == _is_taken(Options, given), value


def _is_taken(kind: Any, given: dict[str, Any]) -> bool:
    try:
        kind(**given)
    except (ValidationError, BundleError):
        return False
    return True


@pytest.mark.parametrize(
    ("own", "asked"),
    [
        ({"beams": 4}, {"sequences": 2}),
        ({"temperature": 0.7}, {"sequences": 2}),
        ({"max_new_tokens": 900}, {"min_new_tokens": 200}),
    ],
    ids=str,
)
def test_a_call_is_checked_beside_what_the_bundle_says(own: dict[str, Any], asked: dict[str, Any]) -> None:
    check({"generation": own}, asked)
    with pytest.raises(BundleError):
        check({"generation": {}}, asked)


def test_a_trial_clips_the_fewest_tokens() -> None:
    for fewest, wanted in ((0, 0), (7, 7), (100, 32)):
        head = {"generation": Generation(min_new_tokens=fewest).model_dump()}
        assert options_of(head["generation"], trial(head)).min_new_tokens == wanted


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ({"": ["a", "b"], "tokens": ["c"]}, "Tokens."),
        ({"answers": ["a", "b"], "tokens": ["c", "d"], "": ["e"]}, "Answers; of c, d: tokens."),
    ],
    ids=str,
)
def test_a_task_that_says_nothing_of_an_option_leaves_no_gap(said: dict[str, list[str]], wanted: str) -> None:
    assert help_of(said) == wanted
