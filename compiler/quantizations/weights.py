"""Weights in 8 or 4 bits by block of inputs, with each product's inputs scaled by row and block (MatMulNBits).

A contrib operator of onnxruntime. In 8 bits its error is about half of `dynamic`'s, and an answer does not depend on
the batch; encoders take about twice as long as with `dynamic`, and less than fp32. In 4 bits the embedding and the
output layer have 8, and all others are rounded by GPTQ on training rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..contracts.quantization import Quantization

if TYPE_CHECKING:
    from ..export.calibration import Sample


def lacks(convolves: bool, optimize: str, writes: bool) -> str:
    """Why this kind is not possible: the operator has no convolution, and only onnxruntime has it. Empty if it is."""
    if convolves:
        return "its operator multiplies matrices, and this backbone convolves"
    if optimize != "onnxruntime":
        return "its operator is onnxruntime's own: it takes `export.optimize: onnxruntime`"
    return ""


def quantize(
    source: Path, target: Path, in_float: Sequence[str], sample: Sample | None, bits: int
) -> Mapping[str, Any]:
    """Writes the graph with the weights of products by block and embeddings in int8, except the nodes in `in_float`.

    With 4 bits these nodes have 8.
    """
    from ..export.blocks import by_block

    return by_block(source, target, in_float, bits, sample)


QUANTIZATION = Quantization(
    rank=3,
    scales="inputs of products are scaled row by row",
    is_batch_invariant=True,
    needs_rows=(4,),
    for_convolutions=False,
    bits=(8, 4),
    lacks=lacks,
    quantize=quantize,
)
