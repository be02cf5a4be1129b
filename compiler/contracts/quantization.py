"""The record of a way to make int8 of a graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..export.calibration import Sample


def lacks_nothing(convolves: bool, optimize: str) -> str:
    """Every graph can have it."""
    return ""


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Quantization:
    """`quantizations/<kind>.py` has QUANTIZATION."""

    rank: int  # its place among those that `auto` tries
    scales: str  # how activations are scaled, as a card says it
    is_batch_invariant: bool  # whether an answer is the same whatever lies beside it in a batch
    needs_rows: bool  # whether training rows fix its scales
    for_convolutions: bool  # whether `auto` tries it where layers are convolutions
    lacks: Callable[[bool, str], str] = lacks_nothing
    """(whether the backbone convolves, export.optimize) → why it can't be had, empty where it can"""
    quantize: Callable[[Path, Path, Sequence[str], Sample | None], Mapping[str, Any]]
    """(fp32 graph, file to write, nodes that stay in float, rows or None) → what a manifest tells of it"""
