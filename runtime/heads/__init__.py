"""Decoders, one module per task: from output arrays to answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from ..errors import BundleError
from ..rows import Outputs, Rows


class Run(Protocol):
    """The graphs of a bundle, as one of its heads asks them: by the head's own names for graphs and arrays."""

    def once(self, rows: Rows, /) -> Outputs:
        """What the graph `model` gives for rows, in batches of like length; outputs along a row are cut to its own."""

    def __call__(self, graph: str, arrays: Mapping[str, np.ndarray], /) -> dict[str, np.ndarray]:
        """What any graph gives for arrays as they are; raises BundleError E0503 for a graph that there is not."""


Answer = Callable[..., list[Any]]  # (run, head, rows, **options) → an answer for each input


def one_answer(head: Mapping[str, Any]) -> bool:
    """One input gets one answer."""
    return False


def one_pass(decode: Callable[..., list[Any]]) -> Answer:
    """Answers from a single pass of the graph `model`; `decode` takes (outputs, head, rows, **options)."""

    def answer(run: Run, head: Mapping[str, Any], rows: Rows, **options: Any) -> list[Any]:
        return decode(run.once(rows), head, rows, **options)

    return answer


def counts(options: Mapping[str, Any]) -> None:
    """Refuses options that are no numbers of answers; raises BundleError E0505."""
    for option, value in options.items():
        if type(value) is not int or value < 1:
            raise BundleError("E0505", f"`{option}` is {value!r}, not a number of answers")


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
    check: Callable[[Mapping[str, Any]], object] = counts  # of the options that were given; raises BundleError E0505
    forms: Mapping[str, type[Any]] = field(default_factory=dict)
    answer: Answer
    pieces: Callable[..., Iterator[str]] | None = None
    """(run, head, rows of one input, **options) → pieces of the text that answers it, as they come"""
    condense: Callable[[Outputs, Sequence[Mapping[str, np.ndarray]]], Outputs] | None = None
    """(outputs of a batch, its rows) → what golden samples hold of outputs that are too many"""
    trial: Mapping[str, Any] = field(default_factory=dict)  # options of the answers by which a build proves its graphs
