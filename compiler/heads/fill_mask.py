"""Fills in masked words of a text, by the masked language model of the backbone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..diagnostics import Diagnostic
from ._masking import (
    ALONG,
    METRICS,
    MODALITY,
    NEEDS,
    TARGETS,
    Masked,
    build,
    condense,
    draw,
    loss,
    lower,
    metrics,
    outputs,
    parameters,
    reads,
    settle,
    stratum,
    target,
)
from ._scores import Tally

__all__ = [
    "ALONG",
    "METRICS",
    "MODALITY",
    "NEEDS",
    "TARGETS",
    "Tally",
    "build",
    "condense",
    "draw",
    "loss",
    "lower",
    "metrics",
    "outputs",
    "parameters",
    "reads",
    "settle",
    "stratum",
    "target",
]


class Options(Masked):
    """Keys under `head` for fill-mask."""


def problems(options: Options, tallies: Mapping[str, Any]) -> Iterator[Diagnostic]:
    """Nothing can be wrong with texts that are texts."""
    yield from ()
