"""Preprocessing, one module for each modality: from raw inputs to arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..rows import Rows


class Preprocessor(Protocol):
    """Turns raw inputs into arrays, by a record and the bundle's files."""

    budget: int  # the most rows × length of a batch, where length is in tokens or the like; 0 for no limit

    def rows(self, inputs: Sequence[Any], /) -> Rows:
        """The rows of inputs, each a dict of unpadded arrays; raises ValueError for a wrong input."""

    def collate(self, rows: Sequence[Mapping[str, np.ndarray]], /) -> dict[str, np.ndarray]:
        """Arrays of a batch, padded to its longest row."""

    def is_one(self, value: Any, /) -> bool:
        """Whether a value is one input, not a list of inputs."""


def nothing(record: Mapping[str, Any]) -> tuple[str, ...]:
    """numpy and onnxruntime are enough."""
    return ()


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Preprocessing:
    """The record of preprocessing; `inputs/<modality>.py` has it as PREPROCESSING. Bundles contain it."""

    record: Mapping[str, Any]  # the shape of the manifest's `preprocessing`, see shape.py
    requires: Callable[[Mapping[str, Any]], tuple[str, ...]] = nothing
    """(record) → packages besides numpy and onnxruntime"""
    preprocessor: Callable[[Mapping[str, Any], Path], Preprocessor]  # (record, folder of the assets)
    from_words: Callable[[Sequence[str], Mapping[str, Any]], list[Any]]  # (words of a command line, record) → inputs
    from_row: Callable[[Mapping[str, Any]], Any] | None = None
    """(row of a table) → the input in it without its answer, None for a row that has none; None where no row is read"""
    input_help: str  # what an input is, in help texts of the command line

    # for the wrapper, as Python code
    annotation: Callable[[Mapping[str, Any]], str]  # (record) → the type of one input
    many: Callable[[Mapping[str, Any]], str]  # (record) → the type of many; `Array` is any type with `tolist`
    imports: tuple[str, ...] = ()  # lines that `annotation` needs
