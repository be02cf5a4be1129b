"""Names of a graph's cache of keys and values, as Hugging Face's exporters give them."""

from __future__ import annotations

ENCODER, DECODER = "encoder", "decoder"  # the graphs of a model that reads one text and writes another
PAST = "past_key_values."  # with which the inputs of the cache begin
PRESENT = "present."  # with which the outputs begin that go on from them
KEPT = "logits_to_keep"  # how many last positions have logits; 0 for all, as transformers' argument of this name


def past_names(layers: int) -> tuple[str, ...]:
    """The inputs of the cache in the order of layers.

    >>> past_names(1)
    ('past_key_values.0.key', 'past_key_values.0.value')
    """
    return _named("past_key_values", layers)


def present_names(layers: int) -> tuple[str, ...]:
    """The outputs that hold the cache with the new tokens in it, in the same order."""
    return _named("present", layers)


def cross_names(layers: int) -> tuple[str, ...]:
    """What a decoder's layers attend to of an encoder: outputs of the one graph, inputs of the other."""
    return _named("cross_attention", layers)


def present_of(past: str) -> str:
    """The output that goes on from an input of the cache.

    >>> present_of("past_key_values.1.value")
    'present.1.value'
    """
    return past.replace(PAST, PRESENT, 1)


def _named(array: str, layers: int) -> tuple[str, ...]:
    return tuple(f"{array}.{i}.{part}" for i in range(layers) for part in ("key", "value"))
