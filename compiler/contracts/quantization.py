"""The record of a kind of quantization."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..export.calibration import Sample


def lacks_nothing(convolves: bool, optimize: str, writes: bool) -> str:
    """The default of `Quantization.lacks`: the kind works on every graph."""
    return ""


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Quantization:
    """The record of a kind of quantization; `quantizations/<kind>.py` has it as QUANTIZATION."""

    rank: int  # its place in the order in which `auto` tries kinds
    scales: str  # how activations are scaled, in words for the card
    is_batch_invariant: bool  # whether an answer is independent of other rows of its batch
    needs_rows: tuple[int, ...]  # the bits with which scales or roundings are computed from training rows
    for_convolutions: bool  # whether `auto` tries it on convolutional backbones
    bits: tuple[int, ...] = (8,)  # of a weight: 8 for int8, 4 for int4
    lacks: Callable[[bool, str, bool], str] = lacks_nothing
    """(whether the backbone is convolutional, export.optimize, whether a head writes from a cache) → why this kind is
    impossible; empty where it works"""
    quantize: Callable[[Path, Path, Sequence[str], Sample | None, int], Mapping[str, Any]]
    """(fp32 graph, file to write, nodes that keep more, rows or None, bits) → fields for the manifest; with 8 bits such
    nodes stay in float, with 4 in 8 bits"""
