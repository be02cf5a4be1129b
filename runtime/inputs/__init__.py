"""Preprocessing, one module per modality: from what users pass to arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..rows import Rows


class Preprocessor(Protocol):
    """Turns raw inputs into arrays, by a record and the files that travel with it."""

    budget: int  # tokens, or what else a row is long in, that a batch may hold; 0 for no limit

    def rows(self, inputs: Sequence[Any], /) -> Rows:
        """The rows that inputs make, each a dict of arrays without padding; raises ValueError for a wrong input."""

    def collate(self, rows: Sequence[Mapping[str, np.ndarray]], /) -> dict[str, np.ndarray]:
        """Arrays of a batch, padded to its longest row."""

    def is_one(self, value: Any, /) -> bool:
        """Whether a value is one input, and no list of them."""


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Preprocessing:
    """`inputs/<modality>.py` has PREPROCESSING; it travels in the bundle."""

    record: Mapping[str, Any]  # the shape of the manifest's `preprocessing`, see shape.py
    requires: Callable[[Mapping[str, Any]], tuple[str, ...]]
    """(record) → packages besides numpy and onnxruntime"""
    preprocessor: Callable[[Mapping[str, Any], Path], Preprocessor]  # (record, folder of the assets)
    from_words: Callable[[Sequence[str], Mapping[str, Any]], list[Any]]  # (words of a command line, record) → inputs
    input_help: str  # what an input is, for the command line

    # of the wrapper, as Python code
    annotation: Callable[[Mapping[str, Any]], str]  # (record) → the type of one input
    many: Callable[[Mapping[str, Any]], str]  # (record) → the type of many; `Array` is what has a `tolist`
    imports: tuple[str, ...] = ()  # lines that `annotation` needs
