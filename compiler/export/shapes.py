"""Takes the arithmetic of shapes out of a graph: in a step of decoding it costs more than some products."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from ...runtime.cache import KEPT
from ...runtime.session import Session
from ..planning.export import GraphPlan

SIZES = (
    (2, 3, 0),
    (3, 5, 0),
    (1, 2, 7),
    (4, 1, 9),
)  # rows, new tokens and tokens in the cache of calls that are looked at
SHAPED = "_shape_of_"  # names of the outputs that are looked at
Arrays = Mapping[str, np.ndarray]


def calls_of(graph: GraphPlan) -> list[dict[str, np.ndarray]]:
    """Calls of a language model's graph of which no two are alike in any side."""
    return [_call(graph, *sizes, keep=number % 2) for number, sizes in enumerate(SIZES)]


def _call(graph: GraphPlan, rows: int, new: int, past: int, keep: int) -> dict[str, np.ndarray]:
    sides = {"batch": rows, "sequence": new, "past": past, "total": past + new}
    shapes = {name: [sides.get(side, side) for side in array["shape"]] for name, array in graph.inputs.items()}
    return {
        name: np.full(shape, keep if name == KEPT else 1, graph.inputs[name]["dtype"]) for name, shape in shapes.items()
    }


def settled(path: Path, calls: Sequence[Arrays]) -> onnx.ModelProto:
    """The graph of a file with constants in place of what is the same in all `calls`, if shapes alone decide it.

    `calls` are inputs in sizes of which no two are alike. A Reshape gets 0 where it keeps a side, and -1 for one side
    that differs. Nothing that depends on numbers in the inputs is touched.
    """
    model = onnx.load(str(path))
    wanted = _of_shapes(model)
    shown = _shown(model, wanted)
    file = path.with_name(f"shown-{path.name}")
    onnx.save(shown, str(file))
    session = Session(file, 1)
    found = [session.run(call, [value.name for value in shown.graph.output]) for call in calls]
    file.unlink()
    makers = {node.output[0]: node for node in model.graph.node if node.op_type == "Reshape"}
    for node in makers.values():
        _reshape(model, node, _origin(node, makers), found)
    _replace(model, {name: found[0][name] for name in wanted if _is_same([each[name] for each in found])})
    return model


def _origin(node: onnx.NodeProto, makers: Mapping[str, onnx.NodeProto]) -> str:
    """What is reshaped, before any Reshape."""
    name = node.input[0]
    return _origin(makers[name], makers) if name in makers else name


def _reshape(model: onnx.ModelProto, node: onnx.NodeProto, origin: str, found: Sequence[Arrays]) -> None:
    """Lets a Reshape take its origin to its shape at once, by constants; nothing is changed where these can't tell."""
    before, after = ([each[f"{SHAPED}{name}"] for each in found] for name in (origin, node.output[0]))
    if (target := _target(after, before)) is None:
        return
    name = f"{node.output[0]}_sides"
    model.graph.initializer.append(numpy_helper.from_array(target, name))
    is_same = not target.any() and all(len(side) == len(target) for side in before)
    made = helper.make_node("Identity", [origin], list(node.output), name=node.name)
    node.CopyFrom(made if is_same else helper.make_node("Reshape", [origin, name], list(node.output), name=node.name))


def _of_shapes(model: onnx.ModelProto) -> list[str]:
    """Tensors of whole numbers that follow from shapes of others and from constants alone."""
    held: set[str] = {tensor.name for tensor in model.graph.initializer}
    found: list[str] = []
    for node in model.graph.node:
        is_plain = node.op_type in PLAIN and all(name in held for name in node.input if name)
        if node.op_type in ("Shape", "Constant") or is_plain:
            held.update(node.output)
            if node.op_type != "Constant":
                found += node.output
    return found


# operators by which shapes are reckoned
PLAIN = {
    "Gather",
    "Unsqueeze",
    "Squeeze",
    "Concat",
    "Cast",
    "Div",
    "Mul",
    "Add",
    "Sub",
    "Slice",
    "Neg",
    "Identity",
    "Mod",
}


def _shown(model: onnx.ModelProto, wanted: Sequence[str]) -> onnx.ModelProto:
    """The graph with these tensors as outputs, and the shapes of what is reshaped, before and after."""
    reshaped = [node for node in model.graph.node if node.op_type == "Reshape"]
    shown = onnx.ModelProto()
    shown.CopyFrom(model)
    del shown.graph.output[:]
    names = list(dict.fromkeys(name for node in reshaped for name in (node.input[0], node.output[0])))
    shown.graph.node.extend(helper.make_node("Shape", [name], [f"{SHAPED}{name}"]) for name in names)
    outputs = [*wanted, *(f"{SHAPED}{name}" for name in names)]
    shown.graph.output.extend(onnx.ValueInfoProto(name=name) for name in outputs)
    return shown


def _is_same(arrays: Sequence[np.ndarray]) -> bool:
    return all(np.array_equal(array, arrays[0]) for array in arrays)


def _target(targets: Sequence[np.ndarray], sides: Sequence[np.ndarray]) -> np.ndarray | None:
    """The shape that makes `targets` of `sides` in every call: 0 keeps a side, -1 is the rest; None where none does."""
    found = []
    for i in range(len(targets[0])):
        own = [int(target[i]) for target in targets]
        if all(i < len(side) and value == side[i] for value, side in zip(own, sides, strict=True)):
            found.append(0)
        else:
            found.append(own[0] if len(set(own)) == 1 else -1)
    return np.array(found, np.int64) if found.count(-1) <= 1 else None


def _replace(model: onnx.ModelProto, same: Arrays) -> None:
    """Puts constants in place of tensors, and takes out the nodes that nobody reads any more."""
    nodes = [node for node in model.graph.node if not set(node.output) <= same.keys()]
    used = {value.name for value in model.graph.output}
    kept: list[onnx.NodeProto] = []
    for node in reversed(nodes):
        if used & set(node.output):
            used.update(node.input)
            kept.append(node)
    del model.graph.node[:]
    model.graph.node.extend(reversed(kept))
    tensors = [tensor for tensor in model.graph.initializer if tensor.name in used]
    del model.graph.initializer[:]
    model.graph.initializer.extend(tensors)
    model.graph.initializer.extend(numpy_helper.from_array(a, name) for name, a in same.items() if name in used)
