"""Keys that generic code asks options for by their class: who has the key is of the class, and the other way round."""

from __future__ import annotations

import pytest

from graftc.compiler import variants
from graftc.compiler.contracts import options

KEYS: dict[str, type] = {
    "pooling": options.Pooled,
    "hidden": options.Layered,
    "start": options.Startable,
    "labels": options.Labelled,
    "normalize": options.Normalized,
    "head": options.ReadsHead,
    "head_steps": options.NewHead,
    "template": options.Templated,
}
WORDS = (*variants.words("heads"), *variants.words("objectives"))


@pytest.mark.parametrize("word", WORDS)
def test_options_are_of_the_classes_of_their_keys(word: str) -> None:
    keys = variants.top(word).options
    assert {key for key, kind in KEYS.items() if issubclass(keys, kind)} == KEYS.keys() & keys.model_fields.keys()


@pytest.mark.parametrize("word", variants.words("inputs"))
def test_inputs_that_are_cut_into_tokens_have_the_keys_of_their_class(word: str) -> None:
    keys = variants.input(word).options
    assert ("max_length" in keys.model_fields) == issubclass(keys, options.TokenLengths)
    assert ("stride" in keys.model_fields) == issubclass(keys, options.Windowed)
    assert ("packing" in keys.model_fields) == issubclass(keys, options.Packable)


def test_every_class_has_a_key_and_is_had() -> None:
    kinds = {kind for kind in vars(options).values() if isinstance(kind, type)}
    assert kinds == {*KEYS.values(), options.TokenLengths, options.Windowed, options.Packable}
    assert all(any(issubclass(variants.top(word).options, kind) for word in WORDS) for kind in KEYS.values())
