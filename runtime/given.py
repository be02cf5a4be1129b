"""Tells one input from many by its type."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from .errors import BundleError

WORDS = (str, bytes, bytearray, memoryview)  # sequences that are at most one input
LISTS = ("tolist", "to_list", "to_pylist")  # methods of numpy, pandas, polars and pyarrow that make lists


def many(given: Any, is_one: Callable[[Any], bool]) -> list[Any] | None:
    """The inputs in a list, an array, a Series or another sequence; None for a single input.

    `is_one` tells whether an array or a sequence is one input, as a pair of texts is. Raises BundleError E0505 for an
    iterator and for a table.
    """
    if isinstance(given, list):
        return None if is_one(given) else given
    refuse_table(given)
    if isinstance(given, Iterator):
        what, help = type(given).__name__, "use `stream`, which reads as it answers, or make a list of it"
        raise BundleError("E0505", f"`predict` takes an input or a list of inputs, not a {what}", help=help)
    if isinstance(given, WORDS) or is_one(given):
        return None
    if isinstance(given, np.ndarray):
        return None if not given.ndim else given.tolist() if given.dtype.kind in "OSUT" else list(given)
    found = _listed(given)
    return found if found is not None else list(given) if isinstance(given, Sequence) else None


def stream_of(given: Any) -> Iterator[Any]:
    """An iterator over the inputs of a stream; raises BundleError E0505 for a single input."""
    refuse_table(given)
    if isinstance(given, (*WORDS, Mapping)) or not isinstance(given, Iterable):
        what, help = "one text" if isinstance(given, str) else named(given), "use `predict`, or a list of it"
        raise BundleError("E0505", f"a stream takes many inputs, not {what}", help=help)
    found = None if isinstance(given, np.ndarray) else _listed(given)  # iterating over an arrow array gives no texts
    return iter(given if found is None else found)


def _listed(given: Any) -> list[Any] | None:
    """An array or a Series as a list, by its own method; None for other values."""
    way = next((way for way in LISTS if callable(getattr(given, way, None))), None)
    found = getattr(given, way)() if way else None
    return found if isinstance(found, list) else None


def refuse_table(given: Any) -> None:
    """Raises BundleError E0505 for a data frame, which iterates over names of columns."""
    if hasattr(given, "columns") and not isinstance(given, type):
        help = 'give the column of the inputs, `frame["text"]`, or of pairs `frame[["text", "other"]].values`'
        raise BundleError("E0505", f"{named(given)} is no list of inputs", help=help)


def named(value: Any) -> str:
    """The type of a value, for messages.

    >>> named({}), named(("a", 3)), named(["a"] * 3), named(None)
    ('a dict', 'a tuple of str, int', 'a list of 3 str', 'None')
    """
    if value is None:
        return "None"
    word = type(value).__name__
    article = "an" if word[0] in "aeiouAEIOU" else "a"
    if not isinstance(value, tuple | list) or not value:
        return f"{article} {word}"
    kinds = list(dict.fromkeys(type(item).__name__ for item in value))
    return (
        f"{article} {word} of {len(value)} {kinds[0]}" if len(kinds) == 1 else f"{article} {word} of {', '.join(kinds)}"
    )
