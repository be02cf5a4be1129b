"""Tells one input from many by the type of what came."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from .errors import BundleError

WORDS = (str, bytes, bytearray, memoryview)  # sequences, of which each is one input at most
LISTS = ("tolist", "to_list", "to_pylist")  # how arrays and Series of numpy and pandas, polars, pyarrow become lists


def many(given: Any, is_one: Callable[[Any], bool]) -> list[Any] | None:
    """The inputs of a list, an array, a Series or another sequence; None for what is one input.

    `is_one` says whether an array or a sequence is an input by itself, as a pair of texts is. Raises BundleError E0505
    for an iterator and for a table.
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
    """The inputs that a stream is given, one after the other; raises BundleError E0505 for what has none."""
    refuse_table(given)
    if isinstance(given, (*WORDS, Mapping)) or not isinstance(given, Iterable):
        what, help = "one text" if isinstance(given, str) else named(given), "use `predict`, or a list of it"
        raise BundleError("E0505", f"a stream takes many inputs, not {what}", help=help)
    found = None if isinstance(given, np.ndarray) else _listed(given)  # what goes over arrow's arrays are no texts
    return iter(given if found is None else found)


def _listed(given: Any) -> list[Any] | None:
    """An array or a Series as the list that it makes of itself; None for what makes none."""
    way = next((way for way in LISTS if callable(getattr(given, way, None))), None)
    found = getattr(given, way)() if way else None
    return found if isinstance(found, list) else None


def refuse_table(given: Any) -> None:
    """Refuses a data frame, which goes over the names of its columns."""
    if hasattr(given, "columns") and not isinstance(given, type):
        help = 'give the column of the inputs, `frame["text"]`, or of pairs `frame[["text", "other"]].values`'
        raise BundleError("E0505", f"{named(given)} is no list of inputs", help=help)


def named(value: Any) -> str:
    """The type of a value as a message names it.

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
