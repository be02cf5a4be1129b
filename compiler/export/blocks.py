"""Weights of matrix products in 8 or 4 bits by block, in onnxruntime's operators MatMulNBits and GatherBlockQuantized."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

from ...runtime.cache import PAST
from .calibration import Sample
from .gptq import moments, rounded
from .quantization import OWN, TABLES, dynamic, excluded, multiply, quiet, unfuse, untied

BLOCKS = (128, 64, 32, 16)  # inputs that share a scale in 8 bits; the largest is the fastest
FOUR = SHARED = 32  # inputs that share a scale in 4 bits, and in 8 bits beside them
BY_ROW = 4  # MatMulNBits' accuracy_level at which inputs too are scaled by row and block
HALF = 128  # what stands for 0 in 8 bits
Made = tuple[onnx.NodeProto, list[onnx.TensorProto]]  # a node and its tensors


def by_block(
    source: Path, target: Path, finer: Iterable[str], bits: int, sample: Sample | None = None
) -> dict[str, Any]:
    """Writes a graph with weights of products in `bits` bits by block, and with embeddings in int8.

    The nodes named in `finer` stay in float, with 4 bits in 8 bits. With 4 bits the output layer has 8 as well, and
    `sample` fixes the rounding. A table that is also the weight of a product is stored once. Returns fields for the
    manifest.
    """
    named = list(finer)
    left = named if bits == 8 else []  # in float
    model = onnx.load(str(source))
    _share(model, left)
    untied(model, left)
    unfuse(model)
    multiply(model)
    with quiet():
        model = (
            _of_four_bits(model, named, sample, target.parent) if bits == 4 and sample else _of_eight_bits(model, left)
        )
    onnx.save(model, str(target))
    dynamic(target, target, left, TABLES)
    return {"bits": bits, "block": FOUR, "rounding": f"GPTQ on {sample.rows} rows"} if sample else {}


def _of_eight_bits(model: onnx.ModelProto, in_float: Sequence[str]) -> onnx.ModelProto:
    """Products in 8 bits, rounded to the nearest of a symmetric range (onnxruntime's `MatMulNBitsQuantizer`)."""
    quantizer = MatMulNBitsQuantizer(
        model,
        bits=8,
        block_size=_block(model),
        is_symmetric=True,
        accuracy_level=BY_ROW,
        nodes_to_exclude=excluded(in_float),
    )
    quantizer.process()
    found: onnx.ModelProto = quantizer.model.model
    return found


def _of_four_bits(model: onnx.ModelProto, in_eight: Iterable[str], sample: Sample, folder: Path) -> onnx.ModelProto:
    """Products in 4 bits, rounded by GPTQ; in 8 bits those named and the last one, unless a table has made it."""
    tensors = {tensor.name: tensor for tensor in model.graph.initializer if len(tensor.dims) == 2}
    products = {
        n.name: n
        for n in model.graph.node
        if n.op_type == "MatMul" and n.input[1] in tensors and _is_full(tensors[n.input[1]])
    }
    is_done = any(node.op_type == "MatMulNBits" for node in model.graph.node)
    eight = {*excluded(in_eight), *(() if is_done else [*products][-1:])}
    four = {name: node for name, node in products.items() if name not in eight}
    made = {name: _in_eight(node, tensors[node.input[1]]) for name, node in products.items() if name in eight}
    sizes = {node.input[0]: tensors[node.input[1]].dims[0] for node in four.values()}
    for seen in moments(model, sizes, sample.batches, sample.threads, folder):
        for given, moment in seen.items():
            own = [node for node in four.values() if node.input[0] == given]
            made |= _in_four(own, [tensors[node.input[1]] for node in own], moment)
    _replace(model, made)
    return model


def _is_full(weight: onnx.TensorProto) -> bool:
    """Whether inputs fill blocks; other products stay in float."""
    return bool(weight.dims[0] % FOUR == 0)


def _replace(model: onnx.ModelProto, made: Mapping[str, Made]) -> None:
    """Puts nodes and their tensors in place of the nodes of these names, and takes out weights that nobody reads."""
    nodes = [made[node.name][0] if node.name in made else node for node in model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    used = {name for node in nodes for name in node.input}
    for tensor in [tensor for tensor in model.graph.initializer if tensor.name not in used]:
        model.graph.initializer.remove(tensor)
    fresh = {tensor.name: tensor for _, tensors in made.values() for tensor in tensors}
    model.graph.initializer.extend(fresh.values())
    _know(model)


def _in_eight(node: onnx.NodeProto, weight: onnx.TensorProto) -> Made:
    """A product in 8 bits."""
    return _made(
        node, weight, 8, dict(zip(("blocks", "scales"), _blocks(numpy_helper.to_array(weight).T), strict=True))
    )


def _in_four(
    nodes: Sequence[onnx.NodeProto], weights: Sequence[onnx.TensorProto], moment: np.ndarray
) -> dict[str, Made]:
    """Products of the same inputs in 4 bits, by their names; `moment` is the second moment of the inputs."""
    whole = np.concatenate([numpy_helper.to_array(weight) for weight in weights], axis=1)
    ends = np.cumsum([weight.dims[1] for weight in weights])[:-1]
    parts = zip(*(np.split(each, ends) for each in rounded(whole, moment, FOUR)), strict=True)
    return {node.name: _four(node, weight, *each) for node, weight, each in zip(nodes, weights, parts, strict=True)}


def _four(
    node: onnx.NodeProto, weight: onnx.TensorProto, numbers: np.ndarray, scales: np.ndarray, zeros: np.ndarray
) -> Made:
    """A product in 4 bits: numbers (outputs, inputs), scales and zeros (outputs, blocks)."""
    outputs, count = scales.shape
    pairs = _paired(numbers.reshape(outputs, count, FOUR)), _paired(np.pad(zeros, ((0, 0), (0, count % 2))))
    return _made(node, weight, 4, {"blocks": pairs[0], "scales": scales, "zeros": pairs[1]})


def _made(node: onnx.NodeProto, weight: onnx.TensorProto, bits: int, parts: Mapping[str, np.ndarray]) -> Made:
    """The node that replaces a product with a weight (inputs, outputs), and its tensors, named by node and part."""
    inputs, outputs = weight.dims
    tensors = [numpy_helper.from_array(np.ascontiguousarray(a), f"{node.name}_{word}") for word, a in parts.items()]
    told = {"N": outputs, "K": inputs, "bits": bits, "block_size": FOUR, "accuracy_level": BY_ROW}
    given = [node.input[0], *(tensor.name for tensor in tensors)]
    return helper.make_node("MatMulNBits", given, list(node.output), name=node.name, domain=OWN, **told), tensors


def _paired(numbers: np.ndarray) -> np.ndarray:
    """Two numbers of 4 bits in each byte, the first in the lower half: uint8 (…, 2 n) → (…, n)."""
    return numbers[..., ::2] | numbers[..., 1::2] << 4


def _know(model: onnx.ModelProto) -> None:
    """Adds onnxruntime's own operators to those of a graph."""
    if OWN not in {opset.domain for opset in model.opset_import}:
        model.opset_import.append(helper.make_opsetid(OWN, 1))


def _block(model: onnx.ModelProto) -> int:
    """The largest block that the narrowest product fills; of a graph that goes on from a cache a small one.

    Errors add up over the words of a text: SmolLM2's perplexity rises by 5.5 % with blocks of 128, by .1 % with 32.
    """
    if any(value.name.startswith(PAST) for value in model.graph.input):
        return SHARED
    weights = {tensor.name: tensor.dims for tensor in model.graph.initializer if len(tensor.dims) == 2}
    products = (node for node in model.graph.node if node.op_type == "MatMul")
    narrowest = min((weights[node.input[1]][0] for node in products if node.input[1] in weights), default=0)
    return next((size for size in BLOCKS if size <= narrowest), BLOCKS[-1])


def _share(model: onnx.ModelProto, in_float: Iterable[str]) -> None:
    """Rewrites each table that is also the weight of a product, such as a tied embedding, in 8 bits, stored once."""
    left, tensors = set(in_float), {tensor.name: tensor for tensor in model.graph.initializer}
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        for name in dict.fromkeys(node.input):
            if name in tensors and len(tensors[name].dims) == 2 and tensors[name].dims[1] % SHARED == 0:
                readers.setdefault(name, []).append(node)
    for name, nodes in readers.items():
        if {_use(node, name) for node in nodes} == {"table", "weight"} and not left & {node.name for node in nodes}:
            _rewrite(model, tensors[name], nodes)


def _use(node: onnx.NodeProto, name: str) -> str:
    """What a node reads a matrix as: a `table` of rows, a `weight` with a row for each output, or neither."""
    told = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    if node.op_type == "Gather" and node.input[0] == name and not told.get("axis", 0):
        return "table"
    is_plain = told.get("alpha", 1.0) == told.get("beta", 1.0) == 1.0 and not told.get("transA", 0)
    is_weight = node.op_type == "Gemm" and node.input[1] == name and told.get("transB", 0) and is_plain
    return "weight" if is_weight else ""


def _rewrite(model: onnx.ModelProto, table: onnx.TensorProto, readers: Sequence[onnx.NodeProto]) -> None:
    """Replaces a table (rows, width) by blocks (rows, blocks, SHARED) and their scales, which all readers take."""
    values, name = numpy_helper.to_array(table), table.name
    blocks, scales = _blocks(values)
    held = {"blocks": blocks, "scales": scales, "scale_of_block": scales[..., None], "joined": np.array([0, 0, -1])}
    zeros = {each.name for each in model.graph.initializer if not numpy_helper.to_array(each).any()}
    own = {
        node.output[0]: _gathered(node, name) if node.op_type == "Gather" else _multiplied(node, values.shape, zeros)
        for node in readers
    }
    nodes = [made for node in model.graph.node for made in own.get(node.output[0], [node])]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    model.graph.initializer.remove(table)
    model.graph.initializer.extend(numpy_helper.from_array(array, f"{name}_{word}") for word, array in held.items())
    _know(model)


def _blocks(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A matrix (rows, width) in 8 bits, uint8 (rows, blocks, SHARED), and its scales, float32 (rows, blocks)."""
    parts = np.pad(values, ((0, 0), (0, -values.shape[1] % SHARED))).reshape(len(values), -1, SHARED)
    scales = np.abs(parts).max(axis=2).astype(np.float32) / (HALF - 1)
    scales[scales == 0] = 1
    return (np.round(parts / scales[..., None]) + HALF).astype(np.uint8), scales


def _gathered(node: onnx.NodeProto, table: str) -> list[onnx.NodeProto]:
    """The nodes that replace a Gather: one of blocks, and one that joins them again."""
    ids, out = node.input[1], node.output[0]
    given = [f"{table}_blocks", ids, f"{table}_scale_of_block"]
    told = {"gather_axis": 0, "quantize_axis": 2, "block_size": SHARED, "bits": 8}
    return [
        helper.make_node("GatherBlockQuantized", given, [f"{out}_blocks"], name=node.name, domain=OWN, **told),
        helper.make_node("Reshape", [f"{out}_blocks", f"{table}_joined"], [out], name=f"{node.name}_joined"),
    ]


def _multiplied(node: onnx.NodeProto, shape: Sequence[int], zeros: Collection[str]) -> list[onnx.NodeProto]:
    """The nodes that replace a Gemm whose weight is the table; a bias in `zeros` is left out."""
    states, table, *bias = node.input
    added = [name for name in bias if name and name not in zeros]
    out = f"{node.output[0]}_product" if added else node.output[0]
    given = [states, f"{table}_blocks", f"{table}_scales"]
    told = {"N": shape[0], "K": shape[1], "bits": 8, "block_size": SHARED, "accuracy_level": BY_ROW}
    product = helper.make_node("MatMulNBits", given, [out], name=node.name, domain=OWN, **told)
    sums = [helper.make_node("Add", [out, *added], list(node.output), name=f"{node.name}_bias")] if added else []
    return [product, *sums]
