"""Writes the graphs of each quantized precision in the first kind that the plan names for it."""

from __future__ import annotations

import json
from typing import Any

from .. import variants
from ..bundling.manifest import file_of
from ..contracts.stage import Stage
from ..execution.preprocessing import preprocessor
from ..execution.work import Work
from ..export.calibration import RANGES, drawn
from ..planning.export import QuantizationPlan
from ..planning.terms import BITS


def run(work: Work) -> None:
    """Writes each graph, `told.json` (fields for the manifest by precision) and, for static scales, `ranges.json`."""
    made = {precision: _made(work, precision, planned) for precision, planned in work.plan.export.quantized.items()}
    (work.out / "told.json").write_text(json.dumps(made))


def _made(work: Work, precision: str, planned: QuantizationPlan) -> dict[str, Any]:
    """Writes each graph in a precision; returns the fields for the manifest."""
    quantization = variants.quantization(planned.kinds[0])
    needs_rows = BITS[precision] in quantization.needs_rows
    processor = preprocessor(work.plan, work.backbone)
    sample = drawn(work, processor, work.out / RANGES, planned.samples) if needs_rows else None
    told: dict[str, Any] = {}
    for graph in work.plan.export.graphs:
        source, target = (work.inputs["export"] / file_of(graph, "fp32"), work.out / file_of(graph, precision))
        told |= quantization.quantize(source, target, (), sample, BITS[precision])
    return told


STAGE = Stage(run=run)
