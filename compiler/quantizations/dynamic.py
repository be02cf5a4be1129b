"""int8 weights per output channel, with inputs of matrix products scaled at run time, one scale per batch.

onnxruntime's `quantize_dynamic`, in standard operators. The fastest kind for encoders on a CPU.
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
    """Writes the graph with all matrix products and embeddings in int8, except the nodes in `in_float`."""
    from ..export.quantization import PRODUCTS, TABLES, dynamic

    dynamic(source, target, in_float, (*PRODUCTS, *TABLES))
    return {}


QUANTIZATION = Quantization(
    rank=1,
    scales="inputs of products are scaled by what a batch holds",
    is_batch_invariant=False,
    needs_rows=(),
    for_convolutions=False,  # MobileNetV2 on ants_bees: accuracy .90 fell to .45, in eight times fp32's time
    quantize=quantize,
)
