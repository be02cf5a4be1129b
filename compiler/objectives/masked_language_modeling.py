"""Words of a text are masked and found again (Devlin et al., 2018, arXiv:1810.04805); masks are drawn anew each step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..diagnostics import Diagnostic
from ..heads import _masking, _scores, _vocabulary

MODALITY = _masking.MODALITY
NEEDS = _masking.NEEDS
TARGETS = _masking.TARGETS
METRICS = _masking.METRICS
ALONG = _masking.ALONG
Tally = _scores.Tally
reads, lower, settle, parameters = _masking.reads, _masking.lower, _masking.settle, _masking.parameters
outputs, target, stratum, draw = _masking.outputs, _masking.target, _masking.stratum, _masking.draw
build, loss, condense, metrics = _masking.build, _masking.loss, _masking.condense, _masking.metrics


class Options(_masking.Masked, _vocabulary.Fitted):
    """Keys of a stage with objective masked-language-modeling."""


def problems(options: Options, tallies: Mapping[str, Any]) -> Iterator[Diagnostic]:
    """Nothing can be wrong with texts that are texts."""
    yield from ()
