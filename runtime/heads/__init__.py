"""Decoders, one module for each task: from output arrays to answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Concatenate, Protocol

import numpy as np

from ..errors import BundleError
from ..rows import Outputs, Rows


class Run(Protocol):
    """The graphs of a bundle for one of its heads, by the head's own names of graphs and arrays."""

    def once(self, rows: Rows, /) -> Outputs:
        """Outputs of the graph `model` for rows, in batches of similar lengths; ragged outputs are cut to their row."""

    def __call__(self, graph: str, arrays: Mapping[str, np.ndarray], /) -> dict[str, np.ndarray]:
        """Outputs of any graph for given arrays; raises BundleError E0503 for an unknown graph."""


Answer = Callable[Concatenate[Run, Mapping[str, Any], Rows, ...], list[Any]]
"""(run, head, rows, **options) → an answer for each input"""
Decode = Callable[Concatenate[Outputs, Mapping[str, Any], Rows, ...], list[Any]]
"""(outputs, head, rows, **options) → the same, from what one pass of the graph gave"""


def one_answer(head: Mapping[str, Any]) -> bool:
    """The default of `Decoder.is_several`: one input gets one answer."""
    return False


def one_text(head: Mapping[str, Any], options: Mapping[str, Any]) -> bool:
    """The default of `Decoder.streams`: one text is written from left to right, without a search among several."""
    asked = {**head.get("generation", {}), **options}
    return bool(asked.get("beams", 1) == asked.get("sequences", 1) == 1)


def nothing(head: Mapping[str, Any]) -> Mapping[str, Any]:
    """The default of `Decoder.trial`: a build asks without options."""
    return {}


def one_pass(decode: Decode) -> Answer:
    """Answers from a single pass of the graph `model`."""

    def answer(run: Run, head: Mapping[str, Any], rows: Rows, **options: Any) -> list[Any]:
        return decode(run.once(rows), head, rows, **options)

    return answer


def counts(head: Mapping[str, Any], options: Mapping[str, Any]) -> None:
    """Refuses options that are no numbers of answers; raises BundleError E0505."""
    for option, value in options.items():
        if type(value) is not int or value < 1:
            raise BundleError("E0505", f"`{option}` is {value!r}, not a number of answers")


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Decoder:
    """The record of a decoder; `heads/<task>.py` has it as DECODER. Bundles contain it.

    `answer` may run graphs as often as it needs; `one_pass` makes it of a function that needs one pass. `options` are
    keyword arguments of `answer`: for each its type, and the type of one input's answer with it. `forms` are further
    types of an input, each with the type of its answer.
    """

    head: Mapping[str, Any]  # the shape of the manifest's `head`, see shape.py
    kind: type[Any]  # type of an answer: a frozen dataclass with the Hub's field names
    labelled: tuple[str, ...] = ()  # fields of an answer that hold a label
    written: str = ""  # the field of an answer that holds a text which the decoder wrote
    is_several: Callable[[Mapping[str, Any]], bool] = one_answer  # head → whether one input gets a tuple of answers
    options: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    help: Mapping[str, str] = field(default_factory=dict)  # option → what it does, in help texts of the command line
    check: Callable[[Mapping[str, Any], Mapping[str, Any]], object] = counts
    """(head, the options that were given); raises BundleError E0505"""
    forms: Mapping[str, type[Any]] = field(default_factory=dict)
    answer: Answer
    pieces: Callable[..., Iterator[str]] | None = None
    """(run, head, rows of one input, **options) → pieces of the text that answers it, as they come"""
    streams: Callable[[Mapping[str, Any], Mapping[str, Any]], bool] = one_text
    """(head, options) → whether `pieces` can be had with them"""
    condense: Callable[[Outputs, Sequence[Mapping[str, np.ndarray]]], Outputs] | None = None
    """(outputs of a batch, its rows) → what golden samples hold of outputs that are too many"""
    shown: Mapping[str, Any] = field(default_factory=dict)  # options of the answers that golden samples hold
    trial: Callable[[Mapping[str, Any]], Mapping[str, Any]] = nothing
    """(head) → options of the answers by which a build proves its graphs"""
