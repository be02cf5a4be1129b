"""Static int8: scales of a graph's tensors from a sample of rows, and the graph with these scales."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantType, quantize_static
from onnxruntime.quantization.calibrate import TensorsData, create_calibrator, load_tensors_data, save_tensors_data

from ...runtime.rows import by_length
from ...runtime.session import Session
from ..execution.prepared import Prepared
from ..execution.work import Work
from ..planning.split import generator
from .quantization import TABLES, dynamic, excluded, quiet, rewrite, unfuse, untied

FLOAT = onnx.TensorProto.FLOAT
BINS = 256  # bins of a tensor's histogram; the entropy search takes time quadratic in them
PERCENTILE = 99.99
RANGES = "ranges.json"
AT_ONCE = 8  # rows that run at once; all of their tensors are in memory
METHODS = {
    "range": CalibrationMethod.MinMax,
    "percentile": CalibrationMethod.Percentile,
    "entropy": CalibrationMethod.Entropy,
}
PRODUCTS = ("Conv", "Gemm", "MatMul")
# operators between convolutions that can stay in int8; a Clip becomes part of the scale
BETWEEN = ("Add", "AveragePool", "Clip", "Concat", "GlobalAveragePool", "MaxPool", "Relu")
IN_FLOAT = {"LayerNormalization", "SkipLayerNormalization", "Softmax", "Attention"}  # operators without an int8 form


@dataclass(frozen=True)
class Sample:
    """Rows that fix scales, as batches of graph inputs."""

    batches: Sequence[Mapping[str, np.ndarray]]
    rows: int
    threads: int
    ranges: Path  # the file of the scales, which later attempts read
    say: Callable[[str], None] = lambda _: None  # prints progress, because calibration may take a while


def drawn(work: Work, processor: Any, ranges: Path, rows: int) -> Sample:
    """A sample of so many training rows, drawn by the plan's seed, in batches of rows of similar length."""
    plan, most = work.plan, rows
    prepared = [Prepared(work.prepared(task, "train")) for task in plan.teaching]
    places = [(rows, i) for rows in prepared for i in range(len(rows))]
    chosen = generator(plan.seed, "calibration").permutation(len(places))[:most]
    features = [
        rows.row(int(j)) for rows, i in (places[k] for k in sorted(chosen)) for j in rows.rows_of(np.array([i]))
    ]
    lengths = np.array([len(next(iter(row.values()))) for row in features], np.int64)
    batches = [[features[i] for i in rows] for rows in by_length(lengths, AT_ONCE, processor.budget)]
    collated = [processor.collate(batch) for batch in batches]
    return Sample(collated, len(chosen), work.machine.threads, ranges, work.progress.say)


def calibrated(source: Path, target: Path, in_float: Sequence[str], sample: Sample) -> dict[str, Any]:
    """Writes the graph in int8 with fixed scales, without the nodes in `in_float`; returns the method and the rows."""
    with TemporaryDirectory(dir=target.parent) as made:
        folder = Path(made)
        plain = _folded(source, folder, in_float)
        operators = _operators(plain)
        if not sample.ranges.is_file():
            save_tensors_data(_better(plain, folder, operators, sample), sample.ranges)
        _write(plain, folder / "static.onnx", operators, sample.ranges, in_float)
        dynamic(folder / "static.onnx", target, in_float, TABLES)
    method = load_tensors_data(sample.ranges).calibration_method
    return {"method": next(word for word, each in METHODS.items() if each == method), "rows": sample.rows}


def _folded(source: Path, folder: Path, in_float: Sequence[str]) -> Path:
    """The graph as onnxruntime's basic level simplifies it: constants folded, padding merged into convolutions."""
    model = untied(onnx.load(str(source)), in_float)
    unfuse(model)
    plain = folder / "unfused.onnx"
    onnx.save(model, str(plain))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(folder / "folded.onnx")
    onnxruntime.InferenceSession(str(plain), options, providers=["CPUExecutionProvider"])
    return _typed(folder / "folded.onnx")


def _typed(graph: Path) -> Path:
    """Declares inputs and outputs of products as float, as onnx infers no types past onnxruntime's operators."""
    model = onnx.load(str(graph))
    kept = [*model.graph.input, *model.graph.output, *model.graph.initializer]
    del model.graph.value_info[:]
    known = {value.name for value in (*kept, *onnx.shape_inference.infer_shapes(model).graph.value_info)}
    products = [node for node in model.graph.node if node.op_type in PRODUCTS]
    names = {name: None for node in products for name in (*node.input, *node.output) if name and name not in known}
    model.graph.value_info.extend(onnx.helper.make_tensor_value_info(name, FLOAT, None) for name in names)
    onnx.save(model, str(graph))
    return graph


def _operators(graph: Path) -> tuple[str, ...]:
    """The operators to quantize: products, and those between convolutions where nothing breaks the int8 chain."""
    held = {node.op_type for node in onnx.load(str(graph), load_external_data=False).graph.node}
    return PRODUCTS if held & IN_FLOAT else (*PRODUCTS, *BETWEEN)


def _better(graph: Path, folder: Path, operators: Sequence[str], sample: Sample) -> TensorsData:
    """The ranges under which the int8 graph's outputs differ least from fp32's on the sample."""
    wanted = _outputs(graph, sample)
    found: list[tuple[float, TensorsData]] = []
    for method, ranges in _ranges(graph, folder, operators, sample):
        sample.say(f"  scales by {method} …")
        kept, tried = folder / f"{method}.json", folder / f"{method}.onnx"
        save_tensors_data(ranges, kept)
        _write(graph, tried, operators, kept, ())
        found.append((_error(wanted, _outputs(tried, sample)), ranges))
    return min(found, key=lambda each: each[0])[1]


def _outputs(graph: Path, sample: Sample) -> list[dict[str, np.ndarray]]:
    session = Session(graph, sample.threads)
    return [session.run(batch) for batch in sample.batches]


def _error(wanted: Sequence[Mapping[str, np.ndarray]], found: Sequence[Mapping[str, np.ndarray]]) -> float:
    """The sum over outputs of the squared error relative to the output's square."""
    total = 0.0
    for name in wanted[0]:
        size = sum(float((a[name].astype(np.float64) ** 2).sum()) for a in wanted)
        error = sum(
            float(((a[name].astype(np.float64) - b[name]) ** 2).sum()) for a, b in zip(wanted, found, strict=True)
        )
        total += error / max(size, np.finfo(np.float64).tiny)
    return total if np.isfinite(total) else float("inf")


def _ranges(graph: Path, folder: Path, operators: Sequence[str], sample: Sample) -> Iterator[tuple[str, TensorsData]]:
    """The lowest and highest value of each tensor by each method, all from one histogram."""
    sample.say(f"  what {sample.rows} training rows make of each tensor …")
    with quiet():
        options = {"num_bins": BINS, "percentile": PERCENTILE, "symmetric": False}
        calibrator = create_calibrator(
            graph, list(operators), str(folder / "seen.onnx"), CalibrationMethod.Percentile, extra_options=options
        )
        calibrator.infer_session = Session(folder / "seen.onnx", sample.threads).session
        for batch in sample.batches:
            calibrator.collect_data(
                _Once({item.name: batch[item.name] for item in calibrator.infer_session.get_inputs()})
            )
        collector = calibrator.collector
        yield (
            "range",
            TensorsData(METHODS["range"], {name: seen[2:4] for name, seen in collector.histogram_dict.items()}),
        )
        for method in ("percentile", "entropy"):
            collector.method, collector.num_quantized_bins = method, 128
            yield method, TensorsData(METHODS[method], collector.compute_collection_result())


class _Once(CalibrationDataReader):
    """A reader of one batch, so that the calibrator keeps the tensors of one batch only."""

    def __init__(self, batch: Mapping[str, np.ndarray]) -> None:
        self.batches = iter([dict(batch)])

    def get_next(self) -> Any:
        """The batch, then None."""
        return next(self.batches, None)


def _write(graph: Path, target: Path, operators: Sequence[str], ranges: Path, in_float: Sequence[str]) -> None:
    with quiet():
        quantize_static(
            graph,
            target,
            None,
            op_types_to_quantize=list(operators),
            per_channel=True,
            nodes_to_exclude=excluded(in_float),
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=load_tensors_data(ranges).calibration_method,
            calibration_cache_path=ranges,
            extra_options={"MatMulConstBOnly": True},
        )
    rewrite(onnx.load(str(target)), target)
