"""Names of a graph's cache of keys and values, as Hugging Face's exporters give them."""

from __future__ import annotations

PAST = "past_key_values."  # with which the inputs of the cache begin
KEPT = "logits_to_keep"  # how many last positions have logits; 0 for all, as transformers' argument of this name


def past_names(layers: int) -> tuple[str, ...]:
    """The inputs of the cache in the order of layers.

    >>> past_names(1)
    ('past_key_values.0.key', 'past_key_values.0.value')
    """
    return tuple(f"past_key_values.{i}.{part}" for i in range(layers) for part in ("key", "value"))


def present_names(layers: int) -> tuple[str, ...]:
    """The outputs that hold the cache with the new tokens in it, in the same order."""
    return tuple(f"present.{i}.{part}" for i in range(layers) for part in ("key", "value"))


def present_of(past: str) -> str:
    """The output that goes on from an input of the cache.

    >>> present_of("past_key_values.1.value")
    'present.1.value'
    """
    return past.replace(PAST, "present.", 1)
