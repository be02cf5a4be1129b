"""Decoders, one module per task: from output arrays to answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


def one_answer(head: Mapping[str, Any]) -> bool:
    """One input gets one answer."""
    return False


@dataclass(frozen=True, kw_only=True)
class Decoder:
    """`heads/<task>.py` has DECODER; it travels in the bundle.

    Options of `decode` are keyword arguments: of each its type, and the type of what one input then gets. Forms are
    types that an input may have besides the usual one, each with the type of its answer.
    """

    head: Mapping[str, Any]  # the shape of the manifest's `head`, see shape.py
    answer: type[Any]  # a frozen dataclass with the Hub's field names
    labelled: tuple[str, ...] = ()  # fields of an answer that hold a label
    is_several: Callable[[Mapping[str, Any]], bool] = one_answer  # (head): whether one input gets a tuple of answers
    options: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    forms: Mapping[str, type[Any]] = field(default_factory=dict)
    decode: Callable[..., list[Any]]  # (outputs, head, rows, **options) → an answer for each input
