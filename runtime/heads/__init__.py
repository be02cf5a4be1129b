"""Decoders, one module per task: from output arrays to answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Concatenate, Protocol

import numpy as np

from ..rows import Outputs, Rows


class Run(Protocol):
    """The graphs of a bundle, as one of its heads asks them: by the head's own names for graphs and arrays."""

    def once(self, rows: Rows, /) -> Outputs:
        """What the graph `model` gives for rows, in batches of like length; outputs along a row are cut to its own."""

    def __call__(self, graph: str, arrays: Mapping[str, np.ndarray], /) -> dict[str, np.ndarray]:
        """What any graph gives for arrays as they are; raises BundleError E0503 for a graph that there is not."""


Answer = Callable[Concatenate[Run, Mapping[str, Any], Rows, ...], list[Any]]
"""(run, head, rows, **options) → an answer for each input"""
Decode = Callable[Concatenate[Outputs, Mapping[str, Any], Rows, ...], list[Any]]
"""(outputs, head, rows, **options) → the same, from what one pass of the graph gave"""


def one_answer(head: Mapping[str, Any]) -> bool:
    """One input gets one answer."""
    return False


def one_pass(decode: Decode) -> Answer:
    """Answers from a single pass of the graph `model`."""

    def answer(run: Run, head: Mapping[str, Any], rows: Rows, **options: Any) -> list[Any]:
        return decode(run.once(rows), head, rows, **options)

    return answer


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Decoder:
    """`heads/<task>.py` has DECODER; it travels in the bundle.

    `answer` may ask a graph as often as it wants; `one_pass` makes one of a function that wants a single pass. Its
    options are keyword arguments: of each its type, and the type of what one input then gets. Forms are types that an
    input may have besides the usual one, each with the type of its answer.
    """

    head: Mapping[str, Any]  # the shape of the manifest's `head`, see shape.py
    kind: type[Any]  # of an answer: a frozen dataclass with the Hub's field names
    labelled: tuple[str, ...] = ()  # fields of an answer that hold a label
    is_several: Callable[[Mapping[str, Any]], bool] = one_answer  # (head): whether one input gets a tuple of answers
    options: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    forms: Mapping[str, type[Any]] = field(default_factory=dict)
    answer: Answer
