"""Writes a network's graphs as ONNX, by either exporter, with standard operators or onnxruntime's own."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import nn

from ...runtime.manifest import MODEL
from ..bundling.manifest import file_of
from ..diagnostics import refuse
from ..model.network import Network
from ..planning.export import GraphPlan
from ..planning.plan import Plan
from ..training.loaders import Batch, arrays
from .calls import examples, graphs_of
from .fusion import DOMAIN as OWN
from .fusion import fuse
from .shapes import calls_of, settled

LIMIT = 2_000_000_000  # bytes of a protobuf file; larger graphs keep their weights beside them


class _Named(nn.Module):
    """A module with positional arrays and a tuple of outputs, in the plan's order."""

    def __init__(self, module: nn.Module, graph: GraphPlan) -> None:
        super().__init__()
        self.module = module
        self.takes = tuple(graph.inputs)
        self.gives = tuple(graph.outputs)

    def forward(self, *arrays: torch.Tensor) -> tuple[torch.Tensor, ...]:
        outputs = self.module(**dict(zip(self.takes, arrays, strict=True)))
        return tuple(outputs[name] for name in self.gives)


def write_graphs(network: Network, plan: Plan, processor: Any, inputs: Sequence[Any], folder: Path) -> None:
    """Exports every graph of a network into a folder, traced with what preprocessing and decoders make of `inputs`.

    Requires at least 3 inputs. Raises what `write_graph` raises.
    """
    network.eval().to("cpu")
    asked = examples(network, plan, processor, inputs)
    batch = processor.collate(processor.rows(inputs[:3]).features)
    for name, graph in plan.export.graphs.items():
        given = batch if name == plan.export.passes[0] and batch.keys() >= graph.inputs.keys() else asked[name]
        write_graph(network, plan, arrays(given, "cpu"), folder / file_of(name, "fp32"), name)


def write_graph(network: Network, plan: Plan, batch: Batch, path: Path, name: str = MODEL) -> None:
    """Exports one graph of a network in inference mode to `path`.

    Requires a `batch` of at least 2 rows and 2 positions, because torch specialises on 0 and 1. Ensures the plan's
    inputs and outputs, the allowed operators, and no path or source line of this machine.

    Raises Refused E0408 where the exporter fails or changes inputs, outputs or operators, E0513 where nothing can be
    fused.
    """
    network, graph = network.eval().to("cpu"), plan.export.graphs[name]
    given = tuple(batch[array].cpu() for array in graph.inputs)
    exporters = {"tracing": _trace, "transformers": _transformers}
    try:
        with _silence(), ExitStack() as stack:
            for backbone in network.backbones.values():
                stack.enter_context(_eager(backbone))
            exporters[plan.export.exporter](
                _Named(graphs_of(network, plan)[name], graph), graph, plan.export.opset, given, path
            )
    except Exception as error:  # each exporter raises whatever its parts raise
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
        raise refuse(
            "E0408",
            "the network can't be exported",
            f"{type(error).__name__}: {reason}",
            help="try `export.exporter: transformers`"
            if plan.export.exporter == "tracing"
            else "try `export.exporter: tracing`",
        ) from error
    _finish(plan, graph, path)
    if plan.export.optimize == "onnxruntime" and name == MODEL:
        with _silence():
            model = fuse(path, *_attention(network.backbone.config), is_fused=plan.export.is_grouped)
        _write(model, path)
        if plan.export.is_grouped:
            _write(settled(path, calls_of(graph)), path)


def _attention(config: Any) -> tuple[int, int]:
    """(heads, width) of a backbone's attention; (0, 0) without attention, or where stages differ."""
    heads, width = (getattr(config, name, 0) for name in ("num_attention_heads", "hidden_size"))
    return (heads, width) if type(heads) is type(width) is int else (0, 0)


@contextmanager
def _eager(backbone: Any) -> Iterator[None]:
    """Switches attention to plain operators, the only form that onnxruntime's fusions match."""
    before = getattr(backbone.config, "_attn_implementation", None) or "eager"
    if before == "eager":
        yield
        return
    backbone.set_attn_implementation("eager")
    try:
        yield
    finally:
        backbone.set_attn_implementation(before)


def _axes(graph: GraphPlan) -> dict[str, dict[int, str]]:
    both = {**graph.inputs, **graph.outputs}
    return {
        name: {i: side for i, side in enumerate(array["shape"]) if isinstance(side, str)}
        for name, array in both.items()
    }


def _trace(module: nn.Module, graph: GraphPlan, opset: int, given: tuple[torch.Tensor, ...], path: Path) -> None:
    torch.onnx.export(
        module,
        given,
        str(path),
        input_names=list(graph.inputs),
        output_names=list(graph.outputs),
        dynamic_axes=_axes(graph),
        opset_version=opset,
        dynamo=False,
        do_constant_folding=True,
    )


def _transformers(module: nn.Module, graph: GraphPlan, opset: int, given: tuple[torch.Tensor, ...], path: Path) -> None:
    from transformers.exporters import OnnxConfig, OnnxExporter

    keyed = _Keyed(module)
    dynamic = torch.export.Dim.DYNAMIC
    axes = {name: dict.fromkeys(places, dynamic) for name, places in _axes(graph).items() if name in graph.inputs}
    arrays = dict(zip(graph.inputs, given, strict=True))
    config = OnnxConfig(dynamic=True, dynamic_shapes={"arrays": axes}, opset_version=opset)
    exported = OnnxExporter().export(keyed, {"arrays": arrays}, config)
    model = exported.program.model_proto if hasattr(exported.program, "model_proto") else _proto(exported.program)
    for value, name in zip(model.graph.output, graph.outputs, strict=True):
        _rename(model, value.name, name)
    for value, name in zip(model.graph.input, graph.inputs, strict=True):
        _rename(model, value.name, name)
    onnx.save(model, str(path))


class _Keyed(nn.Module):
    """The same network with its arrays as one mapping, whose order torch.export keeps."""

    def __init__(self, named: nn.Module) -> None:
        super().__init__()
        self.named = named

    def forward(self, arrays: dict[str, torch.Tensor]) -> tuple[torch.Tensor, ...]:
        found: tuple[torch.Tensor, ...] = self.named(*arrays.values())
        return found


def _proto(program: Any) -> onnx.ModelProto:
    import onnx_ir

    return onnx_ir.to_proto(program)


def _rename(model: onnx.ModelProto, old: str, new: str) -> None:
    if old == new:
        return
    for node in model.graph.node:
        for names in (node.input, node.output):
            for i, name in enumerate(names):
                if name == old:
                    names[i] = new
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        if value.name == old:
            value.name = new


def _finish(plan: Plan, graph: GraphPlan, path: Path) -> None:
    model = onnx.load(str(path))
    given, taken = tuple(graph.inputs), tuple(v.name for v in model.graph.input)
    out = tuple(v.name for v in model.graph.output)
    if set(taken) != set(given) or out != tuple(graph.outputs):
        raise refuse(
            "E0408",
            "the exported graph has other inputs or outputs than planned",
            f"inputs {', '.join(taken)}; outputs {', '.join(out)}",
        )
    _shape(model, graph)
    if plan.adapters:
        _once(model)
    domains = {node.domain for node in model.graph.node} - {"", "ai.onnx", *((OWN,) if plan.export.is_grouped else ())}
    if domains:
        raise refuse("E0408", "the exported graph needs operators outside the standard", ", ".join(sorted(domains)))
    _write(model, path)


def _shape(model: onnx.ModelProto, graph: GraphPlan) -> None:
    """Sets the planned axes of outputs, because exporters name sides that they can't infer as dynamic axes."""
    for value in model.graph.output:
        sides = graph.outputs[value.name]["shape"]
        shaped = onnx.helper.make_tensor_value_info(value.name, value.type.tensor_type.elem_type, sides)
        value.type.CopyFrom(shaped.type)


def _once(model: onnx.ModelProto) -> None:
    """Merges initializers that are equal to the bit, and nodes that do the same to the same inputs.

    So layers that several adapters have in common, up to the lowest in which they differ, run once for all.
    """
    kept: dict[Any, Any] = {}
    same: dict[str, str] = {}
    for tensor in model.graph.initializer:
        key = (tensor.data_type, tuple(tensor.dims), onnx.numpy_helper.to_array(tensor).tobytes())
        same[tensor.name] = kept.setdefault(key, tensor.name)
    given, nodes = {value.name for value in model.graph.output}, list(model.graph.node)
    del model.graph.node[:]
    for node in nodes:
        _renamed(node, same)
        plain = onnx.NodeProto(op_type=node.op_type, domain=node.domain, input=node.input, attribute=node.attribute)
        first = kept.setdefault((plain.SerializeToString(deterministic=True), len(node.output)), node)
        if given & {*node.output}:
            model.graph.node.append(node)
        elif node.op_type == "Identity":  # an exporter's way to share a weight
            same[node.output[0]] = node.input[0]
        elif first is not node:
            same |= dict(zip(node.output, first.output, strict=True))
        else:
            model.graph.node.append(node)
    used = set(same.values())
    for tensor in [tensor for tensor in model.graph.initializer if tensor.name not in used]:
        model.graph.initializer.remove(tensor)


def _renamed(node: onnx.NodeProto, names: Mapping[str, str]) -> None:
    for i, name in enumerate(node.input):
        node.input[i] = names.get(name, name)
    for inner in (inner for attribute in node.attribute for inner in attribute.g.node):
        _renamed(inner, names)


def _write(model: onnx.ModelProto, path: Path) -> None:
    anonymise(model)
    if model.ByteSize() < LIMIT:
        onnx.save(model, str(path))
    else:
        path.with_name(f"{path.name}.data").unlink(missing_ok=True)  # onnx appends to an existing file
        onnx.save(model, str(path), save_as_external_data=True, location=f"{path.name}.data", size_threshold=1024)


def anonymise(model: onnx.ModelProto) -> None:
    """Removes notes on source files, and shapes that were inferred for one batch."""
    for holder in (model, model.graph, *model.graph.node, *model.functions):
        holder.doc_string = ""
        del holder.metadata_props[:]
    for value in (*model.graph.input, *model.graph.output, *model.graph.initializer):
        value.doc_string = ""
        if hasattr(value, "metadata_props"):
            del value.metadata_props[:]
    # quantizers refuse a graph whose noted shapes differ from inferred ones
    del model.graph.value_info[:]


@contextmanager
def _silence() -> Iterator[None]:
    """Silences exporters; the gates judge their graphs by numbers."""
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
