"""Quantises the graph's weights to int8 per channel; activations are quantised as they come."""

from __future__ import annotations

import logging
from pathlib import Path

import onnx
from onnxruntime.quantization import QuantType, quantize_dynamic

from ..execution.work import Work
from ..networks.graph import anonymise


def run(work: Work) -> None:
    """Writes `model.int8.onnx`."""
    source = work.inputs["export"] / "model.onnx"
    target = work.out / "model.int8.onnx"
    quantize(source, target)


def quantize(source: Path, target: Path) -> None:
    """int8 weights with a scale per output channel (see onnxruntime's quantize_dynamic)."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)  # it advises a preprocessing that these graphs do not need
    try:
        quantize_dynamic(
            source,
            target,
            weight_type=QuantType.QInt8,
            per_channel=True,
            extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
        )
    finally:
        root.setLevel(level)
    model = onnx.load(str(target))
    anonymise(model)
    onnx.save(model, str(target))
