"""Weights in int8 by output channel, inputs of operators by scales that training rows fixed: QDQ, in standard operators.

The scales are the better of three that onnxruntime derives from one histogram of each tensor: the whole range, a
percentile of it, and the range of least entropy (Migacz 2017, 8-bit Inference with TensorRT). Better is what changes
the graph's outputs least on the same rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..contracts.quantization import Quantization

if TYPE_CHECKING:
    from ..export.calibration import Sample


def quantize(source: Path, target: Path, in_float: Sequence[str], sample: Sample | None) -> Mapping[str, Any]:
    """Writes the graph with scales from the rows of `sample`, but for nodes named in `in_float`."""
    from ..export.calibration import calibrated

    assert sample is not None
    return {"calibration": calibrated(source, target, in_float, sample)}


QUANTIZATION = Quantization(
    rank=2,
    scales="inputs of operators are scaled by fixed numbers, from training rows",
    is_batch_invariant=True,
    needs_rows=True,
    for_convolutions=True,
    quantize=quantize,
)
