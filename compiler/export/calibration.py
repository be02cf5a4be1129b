"""Scales of a graph's tensors from a sample of rows, and the graph that holds them: static int8."""

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
BINS = 256  # of a tensor's histogram; the search for least entropy takes their square
PERCENTILE = 99.99
RANGES = "ranges.json"
AT_ONCE = 8  # rows, all of whose tensors are in memory
METHODS = {
    "range": CalibrationMethod.MinMax,
    "percentile": CalibrationMethod.Percentile,
    "entropy": CalibrationMethod.Entropy,
}
PRODUCTS = ("Conv", "Gemm", "MatMul")
# what stands between convolutions and keeps int8: a Clip is then a part of the scale
BETWEEN = ("Add", "AveragePool", "Clip", "Concat", "GlobalAveragePool", "MaxPool", "Relu")
IN_FLOAT = {"LayerNormalization", "SkipLayerNormalization", "Softmax", "Attention"}  # int8 would stop at each of these


@dataclass(frozen=True)
class Sample:
    """Rows that fix scales, as batches of a graph's inputs."""

    batches: Sequence[Mapping[str, np.ndarray]]
    rows: int
    threads: int
    ranges: Path  # the file of what was found, which serves the graph's other forms
    say: Callable[[str], None] = lambda _: None  # told what goes on, as it may take a while


def drawn(work: Work, processor: Any, ranges: Path) -> Sample:
    """Training rows, drawn by the plan's seed, as batches of rows of like length; `ranges` as `Sample` has it."""
    plan = work.plan
    assert plan.export.quantization is not None
    prepared = [Prepared(work.prepared(task, "train")) for task in plan.teaching]
    places = [(rows, i) for rows in prepared for i in range(len(rows))]
    chosen = generator(plan.seed, "calibration").permutation(len(places))[: plan.export.quantization.samples]
    features = [
        rows.row(int(j)) for rows, i in (places[k] for k in sorted(chosen)) for j in rows.rows_of(np.array([i]))
    ]
    lengths = np.array([len(next(iter(row.values()))) for row in features], np.int64)
    batches = [[features[i] for i in rows] for rows in by_length(lengths, AT_ONCE, processor.budget)]
    collated = [processor.collate(batch) for batch in batches]
    return Sample(collated, len(chosen), work.machine.threads, ranges, work.progress.say)


def calibrated(source: Path, target: Path, in_float: Sequence[str], sample: Sample) -> dict[str, Any]:
    """Writes the graph in int8 by fixed scales, but for nodes named in `in_float`; how they were found."""
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
    """The graph as onnxruntime simplifies it in standard operators: constants computed, padding a part of convolutions."""
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
    """Says that what products take and make is of float: onnx can't infer it past operators of onnxruntime's own."""
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
    """Products alone, or all that can stay in int8 from one product to the next."""
    held = {node.op_type for node in onnx.load(str(graph), load_external_data=False).graph.node}
    return PRODUCTS if held & IN_FLOAT else (*PRODUCTS, *BETWEEN)


def _better(graph: Path, folder: Path, operators: Sequence[str], sample: Sample) -> TensorsData:
    """The ranges that change the graph's outputs least on the sample."""
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
    """The squared error of all outputs, each in units of its own square."""
    total = 0.0
    for name in wanted[0]:
        size = sum(float((a[name].astype(np.float64) ** 2).sum()) for a in wanted)
        error = sum(
            float(((a[name].astype(np.float64) - b[name]) ** 2).sum()) for a, b in zip(wanted, found, strict=True)
        )
        total += error / max(size, np.finfo(np.float64).tiny)
    return total if np.isfinite(total) else float("inf")


def _ranges(graph: Path, folder: Path, operators: Sequence[str], sample: Sample) -> Iterator[tuple[str, TensorsData]]:
    """Lowest and highest value of each tensor that is scaled, by method, all from one histogram of it."""
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
    """One batch, so that a calibrator keeps no more than its tensors."""

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
