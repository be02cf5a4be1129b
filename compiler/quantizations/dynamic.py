"""Weights in int8 by output channel; a product's inputs are scaled as they come, all of a batch by one number.

onnxruntime's `quantize_dynamic`, in standard operators. The fastest kind for encoders on a CPU.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..export.calibration import Sample

RANK = 1
SCALES = "inputs of products are scaled by what a batch holds"
IS_BATCH_INVARIANT = False
NEEDS_ROWS = False
FOR_CONVOLUTIONS = False  # MobileNetV2 on ants_bees: accuracy .90 fell to .45, in eight times fp32's time


def lacks(convolves: bool, optimize: str) -> str:
    """Nothing: every graph can have it."""
    return ""


def quantize(source: Path, target: Path, in_float: Sequence[str], sample: Sample | None) -> Mapping[str, Any]:
    """Writes the graph with all products and embeddings in int8, but for nodes named in `in_float`."""
    from ..export.quantization import PRODUCTS, TABLES, dynamic

    dynamic(source, target, in_float, (*PRODUCTS, *TABLES))
    return {}
