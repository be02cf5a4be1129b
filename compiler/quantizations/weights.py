"""8-bit weights by block of inputs, with each product's inputs scaled by row and block (onnxruntime's MatMulNBits).

A contrib operator. Its error is about half of `dynamic`'s, and an answer does not depend on the batch; it takes about
twice as long as `dynamic`, and less than fp32.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..contracts.quantization import Quantization

if TYPE_CHECKING:
    from ..export.calibration import Sample


def lacks(convolves: bool, optimize: str) -> str:
    """Why this kind is not possible: the operator has no convolution, and only onnxruntime has it. Empty if it is."""
    if convolves:
        return "its operator multiplies matrices, and this backbone convolves"
    if optimize != "onnxruntime":
        return "its operator is onnxruntime's own: it takes `export.optimize: onnxruntime`"
    return ""


def quantize(source: Path, target: Path, in_float: Sequence[str], sample: Sample | None) -> Mapping[str, Any]:
    """Writes the graph with the weights of products by block and embeddings in int8, except the nodes in `in_float`."""
    from ..export.quantization import by_block

    by_block(source, target, in_float)
    return {}


QUANTIZATION = Quantization(
    rank=3,
    scales="inputs of products are scaled row by row",
    is_batch_invariant=True,
    needs_rows=False,
    for_convolutions=False,
    lacks=lacks,
    quantize=quantize,
)
