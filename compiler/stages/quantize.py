"""Writes the graph with int8 weights."""

from __future__ import annotations

from ..execution.manifest import FILES
from ..execution.work import Work
from ..networks.quantization import quantize


def run(work: Work) -> None:
    """Writes `model.int8.onnx`."""
    quantize(work.inputs["export"] / FILES["fp32"], work.out / FILES["int8"])
