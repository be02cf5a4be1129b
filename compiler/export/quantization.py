"""Rewrites graphs in int8 by onnxruntime's quantizers, from forms that these can read."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
from onnx import helper
from onnxruntime.quantization import QuantType, quantize_dynamic

from .external import random_names
from .graph import anonymise

TABLES = ("Gather", "EmbedLayerNormalization")
HELD = (*TABLES, "GatherBlockQuantized")  # operators that read a table, in float or int8
PRODUCTS = ("MatMul", "Gemm", "Conv", "Attention")
OWN = "com.microsoft"  # the domain of onnxruntime's own operators


@contextmanager
def quiet() -> Iterator[None]:
    """Silences quantizers, which print their steps and advise a preprocessing that these graphs do not need."""
    logger = logging.getLogger()
    before = logger.manager.disable
    logging.disable(logging.ERROR)
    try:
        with redirect_stdout(StringIO()), random_names():
            yield
    finally:
        logging.disable(before)


def dynamic(source: Path, target: Path, in_float: Iterable[str], operators: Sequence[str]) -> None:
    """Quantizes weights of `operators` to int8 with a scale for each output channel, without the nodes in `in_float`.

    See onnxruntime's `quantize_dynamic`.
    """
    left = list(in_float)
    with TemporaryDirectory(dir=target.parent) as made, quiet():
        apart = Path(made) / "apart.onnx"
        onnx.save(untied(onnx.load(str(source)), left), str(apart))
        quantize_dynamic(
            apart,
            target,
            op_types_to_quantize=list(operators),
            weight_type=QuantType.QInt8,
            per_channel=True,
            nodes_to_exclude=excluded(left),
            extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
        )
    rewrite(onnx.load(str(target)), target)


def untied(model: onnx.ModelProto, in_float: Iterable[str] = ()) -> onnx.ModelProto:
    """Copies weights that several nodes share, one copy for each kind of use: as a table, in int8, in float.

    A quantizer rewrites a weight in place, whatever other nodes read it, and misses a weight behind an Identity. What
    is quantized already stays shared.
    """
    left, tensors = set(in_float), {tensor.name: tensor for tensor in model.graph.initializer}
    same = {n.output[0]: n.input[0] for n in model.graph.node if n.op_type == "Identity" and n.input[0] in tensors}
    given = {value.name for value in model.graph.output}
    nodes = [node for node in model.graph.node if not (node.output[0] in same and node.output[0] not in given)]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    owners: dict[str, dict[tuple[str, bool], str]] = {}
    for node in model.graph.node:
        for i, name in enumerate(node.input):
            name = same.get(name, name)
            node.input[i] = name
            if name in tensors and len(tensors[name].dims) > 1 and tensors[name].data_type == onnx.TensorProto.FLOAT:
                use = (node.op_type, node.name in left)
                node.input[i] = _own(model, tensors[name], owners.setdefault(name, {}), use)
    _turn_shared(model)
    return model


def _turn_shared(model: onnx.ModelProto) -> None:
    """Transposes weights that several Gemm read transposed, because the quantizer would transpose them for each."""
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        if node.op_type == "Gemm":
            readers.setdefault(node.input[1], []).append(node)
    for tensor in model.graph.initializer:
        own = readers.get(tensor.name, [])
        turns = [
            attribute for node in own for attribute in node.attribute if attribute.name == "transB" and attribute.i
        ]
        if len(turns) == len(own) > 1:
            turned = np.ascontiguousarray(onnx.numpy_helper.to_array(tensor).T)
            tensor.CopyFrom(onnx.numpy_helper.from_array(turned, tensor.name))
            for attribute in turns:
                attribute.i = 0


def _own(
    model: onnx.ModelProto, tensor: onnx.TensorProto, owned: dict[tuple[str, bool], str], use: tuple[str, bool]
) -> str:
    """The name of a tensor for a kind of use: the tensor's own for the first use, a copy's for each other."""
    if use not in owned:
        owned[use] = f"{tensor.name}_{len(owned)}" if owned else tensor.name
        if owned[use] != tensor.name:
            copy = model.graph.initializer.add()
            copy.CopyFrom(tensor)
            copy.name = owned[use]
    return owned[use]


def multiply(model: onnx.ModelProto) -> None:
    """Rewrites each Gemm with constant weights as MatMul and Add, the form that is quantized by block."""
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    nodes = list(model.graph.node)
    del model.graph.node[:]
    for node in nodes:
        told = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        is_plain = told.get("alpha", 1.0) == told.get("beta", 1.0) == 1.0 and not told.get("transA")
        if node.op_type != "Gemm" or not is_plain or node.input[1] not in weights:
            model.graph.node.append(node)
            continue
        name = node.input[1]
        if told.get("transB"):
            turned = onnx.numpy_helper.to_array(weights[name]).T
            name = f"{name}_turned"
            model.graph.initializer.append(onnx.numpy_helper.from_array(np.ascontiguousarray(turned), name))
        product = f"{node.name}_MatMul"
        made = product if len(node.input) > 2 else node.output[0]
        model.graph.node.append(helper.make_node("MatMul", [node.input[0], name], [made], name=product))
        if len(node.input) > 2:
            model.graph.node.append(helper.make_node("Add", [made, node.input[2]], list(node.output), name=node.name))
    used = {name for node in model.graph.node for name in node.input}
    for tensor in [tensor for tensor in model.graph.initializer if tensor.name not in used]:
        model.graph.initializer.remove(tensor)


def unfuse(model: onnx.ModelProto) -> None:
    """Takes the product of weights out of onnxruntime's `Attention`, which quantizers of products do not handle."""
    widths = {tensor.name: tensor.dims[-1] for tensor in model.graph.initializer if tensor.dims}
    nodes = list(model.graph.node)
    del model.graph.node[:]
    for node in nodes:
        model.graph.node.extend(_parts(node) if _is_plain(node, widths) else [node])


def _is_plain(node: onnx.NodeProto, widths: dict[str, int]) -> bool:
    """Whether a node is an Attention with queries, keys and values of equal width, without causal mask or past."""
    if node.op_type != "Attention" or node.domain != OWN or len(node.input) > 4:
        return False
    told = {attribute.name for attribute in node.attribute}
    return (
        node.input[1] in widths and widths[node.input[1]] % 3 == 0 and not told & {"unidirectional", "qkv_hidden_sizes"}
    )


def _parts(node: onnx.NodeProto) -> tuple[onnx.NodeProto, ...]:
    """The nodes that replace an Attention: one product, its split into three, and the attention itself."""
    states, weights, bias, *mask = node.input
    product, parts = f"{node.name}_qkv", [f"{node.name}_{part}" for part in "qkv"]
    kept = {
        a.name: helper.get_attribute_value(a)
        for a in node.attribute
        if a.name in ("num_heads", "mask_filter_value", "scale")
    }
    return (
        helper.make_node("MatMul", [states, weights], [product], name=product),
        helper.make_node("Split", [product], parts, name=f"{node.name}_split", axis=-1),
        helper.make_node(
            "MultiHeadAttention", [*parts, bias, *mask], list(node.output), name=node.name, domain=OWN, **kept
        ),
    )


def excluded(in_float: Iterable[str]) -> list[str]:
    """Names of nodes that quantizers must leave, and the names that `multiply` and `unfuse` give to their parts."""
    return [name for node in in_float for name in (node, f"{node}_MatMul", f"{node}_qkv")]


def rewrite(model: onnx.ModelProto, target: Path) -> None:
    """Writes a graph without a quantizer's notes: names of files, shapes, unused operator sets."""
    used = {node.domain for node in model.graph.node} | {""}
    kept = [opset for opset in model.opset_import if opset.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(kept)
    anonymise(model)
    onnx.save(model, str(target))


def own_bytes(path: Path) -> int:
    """The bytes of a graph without its embeddings."""
    model = onnx.load(str(path), load_external_data=False)
    tables = {name for node in model.graph.node if node.op_type.endswith(HELD) for name in node.input}
    sizes = (_size(tensor) for tensor in model.graph.initializer if tensor.name in tables and len(tensor.dims) > 1)
    return sum(file.stat().st_size for file in path.parent.glob(f"{path.name}*")) - sum(sizes)


def _size(tensor: onnx.TensorProto) -> int:
    return int(np.prod(tensor.dims)) * int(helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize)


def candidates(source: Path) -> dict[str, tuple[str, ...]]:
    """Choices of nodes that may stay in float where int8 loses too much, the smallest file first.

    The first and the last product of a graph are sensitive, and so are the products that narrow a block of a
    transformer, whose inputs have outliers (Bondarenko et al. 2021, Understanding and Overcoming the Challenges of
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
