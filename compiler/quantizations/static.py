"""int8 weights per output channel, with inputs scaled by constants from training rows (QDQ, standard operators).

The scales are the best of three that onnxruntime derives from one histogram of each tensor: the whole range, a
percentile of it, and the range of least entropy (Migacz 2017, 8-bit Inference with TensorRT). The best scales change
the graph's outputs on those rows least.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..contracts.quantization import Quantization

if TYPE_CHECKING:
    from ..export.calibration import Sample


def quantize(
    source: Path, target: Path, in_float: Sequence[str], sample: Sample | None, bits: int
) -> Mapping[str, Any]:
    """Writes the graph in int8 with scales from the rows of `sample`, except the nodes in `in_float`."""
    from ..export.calibration import calibrated

    assert sample is not None
    return {"calibration": calibrated(source, target, in_float, sample)}


def lacks(convolves: bool, optimize: str, writes: bool) -> str:
    """Why this kind is not possible: a graph that goes on from a cache has tensors that no single pass shows."""
    return "its scales come from single passes, and this head goes on from a cache" if writes else ""


QUANTIZATION = Quantization(
    rank=2,
    scales="inputs of operators are scaled by fixed numbers, from training rows",
    is_batch_invariant=True,
    needs_rows=(8,),
    for_convolutions=True,
    lacks=lacks,
    quantize=quantize,
)
