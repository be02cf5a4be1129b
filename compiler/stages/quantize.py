"""Writes the graphs in the first kind of int8 that the plan names."""

from __future__ import annotations

import json
from typing import Any

from .. import variants
from ..bundling.manifest import file_of
from ..contracts.stage import Stage
from ..execution.preprocessing import preprocessor
from ..execution.work import Work
from ..export.calibration import RANGES, drawn


def run(work: Work) -> None:
    """Writes each graph in int8, `told.json` (fields for the manifest) and, for static scales, `ranges.json`."""
    planned = work.plan.export.quantization
    assert planned is not None
    quantization = variants.quantization(planned.kinds[0])
    sample = drawn(work, preprocessor(work.plan, work.backbone), work.out / RANGES) if quantization.needs_rows else None
    told: dict[str, Any] = {}
    for graph in work.plan.export.graphs:
        source, target = (work.inputs["export"] / file_of(graph, "fp32"), work.out / file_of(graph, "int8"))
        told |= quantization.quantize(source, target, (), sample)
    (work.out / "told.json").write_text(json.dumps(told))


STAGE = Stage(run=run)
