"""Quantises a graph's weights to int8 per channel; activations are quantised as they come."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

import onnx
from onnxruntime.quantization import QuantType, quantize_dynamic

from .external import random_names
from .graph import anonymise

TABLES = ("Gather", "EmbedLayerNormalization")
PRODUCTS = ("MatMul", "Gemm", "Conv", "Attention")


@random_names()
def quantize(source: Path, target: Path, in_float: Iterable[str] = ()) -> None:
    """int8 weights with a scale per output channel (see onnxruntime's quantize_dynamic), but for nodes named in `in_float`."""
    names = [name for node in in_float for name in (node, f"{node}_MatMul")]  # which a Gemm is called on the way
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)  # it advises a preprocessing that these graphs do not need
    try:
        quantize_dynamic(
            source,
            target,
            weight_type=QuantType.QInt8,
            per_channel=True,
            nodes_to_exclude=names,
            extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
        )
    finally:
        root.setLevel(level)
    model = onnx.load(str(target))
    anonymise(model)
    onnx.save(model, str(target))


def candidates(source: Path) -> dict[str, tuple[str, ...]]:
    """Which nodes may stay in float where int8 loses too much: few choices, from the smallest file on.

    What a graph begins and ends with is known to be sensitive, and so are the products that narrow a block of a
    transformer, whose inputs have outliers (see Bondarenko et al. 2021, Understanding and Overcoming the Challenges of
    Efficient Transformer Quantization).
    """
    model = onnx.load(str(source), load_external_data=False)
    weights = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer if len(tensor.dims) > 1}
    held = [(node, weights[name]) for node in model.graph.node for name in list(node.input)[:3] if name in weights]
    tables = _named(node for node, _ in held if node.op_type in TABLES)
    products = _named(node for node, _ in held if node.op_type in PRODUCTS)
    ends = (*products[:1], *products[-1:])
    narrowing = _named(node for node, shape in held if node.op_type in PRODUCTS and _narrows(node, shape))
    half = len(products) // 2
    found = {
        "the first and the last product": ends,
        "these and all products that narrow": (*ends, *narrowing),
        "the upper half of the products": products[half:],
        "the lower half of the products": products[:half],
        "the embeddings": tables,
        "the embeddings, the first and the last product, and all that narrow": (*tables, *ends, *narrowing),
    }
    return {name: tuple(dict.fromkeys(nodes)) for name, nodes in found.items() if nodes}


def _named(nodes: Iterable[onnx.NodeProto]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(node.name for node in nodes))


def _narrows(node: onnx.NodeProto, shape: tuple[int, ...]) -> bool:
    is_turned = node.op_type == "Conv" or any(a.name == "transB" and a.i for a in node.attribute)
    given, made = (shape[1], shape[0]) if is_turned else (shape[0], shape[1])
    return given > made
