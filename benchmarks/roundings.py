"""Perplexity of a language model's bundle by the way in which its weights are rounded.

    python benchmarks/roundings.py BUNDLE --train FILE --validation FILE [--prompt COLUMN] [--completion COLUMN]
        [--rows 32] [--calibration 128] [--rescale] [--threads 2] [--output DIR]

The fp32 graph of BUNDLE is quantized anew in each way, and answers the first validation rows: the perplexity of their
completions and of their prompts. Training rows fix the rounding of GPTQ. `--rescale` first gives the graph other weights
that compute the same: norms become part of the products after them, and channels of values and of the inner layer are
scaled and scaled back. That matters where weights came from a file in 4 bits, whose grid they would fit too well; it
knows the names of Llama's layers. Prints the table, and writes roundings.md.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import numpy as np
import onnx
from onnx import numpy_helper
from onnxruntime.quantization.neural_compressor.weight_only import quant_tensor_k_quant_cpu

from graftc.compiler.export import blocks, gptq
from graftc.compiler.export.calibration import Sample
from graftc.compiler.export.quantization import PRODUCTS, TABLES, dynamic
from graftc.runtime.generation.steps import log_totals
from graftc.runtime.graphs import completed
from graftc.runtime.model import Model
from graftc.runtime.prompts import Completed, Conversation
from graftc.runtime.session import Session

Features = list[dict[str, np.ndarray]]
Quantize = Callable[[Path, Path], object]
AT_ONCE = 4  # rows that are asked together


def read(model: Model, path: Path, columns: tuple[str, str], count: int) -> Features:
    """The first rows of a file as the bundle reads them in training."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()[:count]]
    pairs = [tuple(str(row[column]) for column in columns) for row in rows]
    if not model.manifest["preprocessing"].get("template"):
        return model.preprocessor.rows([Completed(*pair) for pair in pairs]).features
    turns = [
        tuple({"role": r, "content": c} for r, c in zip(("user", "assistant"), pair, strict=True)) for pair in pairs
    ]
    return model.preprocessor.rows([Conversation(turn) for turn in turns]).features


def batches(model: Model, rows: Features) -> list[tuple[Features, dict[str, np.ndarray]]]:
    """Rows of like length together, and the arrays of each batch."""
    ordered = sorted(rows, key=lambda row: len(row["input_ids"]))
    parts = [ordered[i : i + AT_ONCE] for i in range(0, len(ordered), AT_ONCE)]
    return [(part, model.preprocessor.collate(part)) for part in parts]


def perplexities(model: Model, graph: Path, rows: Features, threads: int) -> tuple[float, float]:
    """(of completions, of prompts)."""
    session, told = Session(graph, threads), model.manifest["graphs"]["model"]["inputs"]
    losses: dict[bool, list[np.ndarray]] = {True: [], False: []}
    for part, batch in batches(model, rows):
        (logits,) = session.run(completed(told, batch), ["logits"]).values()
        for row, found in zip(part, logits, strict=True):
            ids, is_learned = row["input_ids"], row["learned"][1:].astype(bool)
            found = found[: len(ids) - 1]
            loss = log_totals(found) - found[np.arange(len(found)), ids[1:]]
            losses[True].append(loss[is_learned])
            losses[False].append(loss[~is_learned])
    whole, prompts = (float(np.exp(np.concatenate(losses[kind]).mean())) for kind in (True, False))
    return whole, prompts


def rescaled(source: Path, target: Path) -> None:
    """The same function with other weights."""
    model, draw = onnx.load(source), np.random.default_rng(0)
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    weights = {node.name: node.input[1] for node in model.graph.node if node.op_type == "MatMul"}
    told = next(node for node in model.graph.node if node.op_type == "GroupQueryAttention").attribute
    heads = {each.name: each.i for each in told}

    def scale(product: str, inputs: Any = 1.0, outputs: Any = 1.0) -> None:
        tensor = tensors[weights[product]]
        values = numpy_helper.to_array(tensor) * np.reshape(inputs, (-1, 1)) * np.reshape(outputs, (1, -1))
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float32), tensor.name))

    for down in [name for name in weights if name.endswith("/mlp/down_proj/MatMul")]:
        layer = down.removesuffix("/mlp/down_proj/MatMul")
        norm = f"{re.sub(r'^/', '', layer).replace('/', '.')}."
        inner = draw.uniform(0.8, 1.25, tensors[weights[down]].dims[0])
        values = draw.uniform(0.8, 1.25, tensors[weights[f"{layer}/self_attn/v_proj/MatMul"]].dims[1])
        shared = values.reshape(heads["kv_num_heads"], -1).repeat(heads["num_heads"] // heads["kv_num_heads"], axis=0)
        for word, products in (("input_layernorm", "self_attn/q self_attn/k self_attn/v"), ("post_attention_layernorm", "mlp/gate mlp/up")):  # fmt: skip
            own = tensors[next(name for name in tensors if name.endswith(f"{norm}{word}.weight"))]
            for product in products.split():
                scale(f"{layer}/{product}_proj/MatMul", inputs=numpy_helper.to_array(own))
            own.CopyFrom(numpy_helper.from_array(np.ones(own.dims[0], np.float32), own.name))
        scale(f"{layer}/mlp/up_proj/MatMul", outputs=inner)
        scale(down, inputs=1 / inner)
        scale(f"{layer}/self_attn/v_proj/MatMul", outputs=values)
        scale(f"{layer}/self_attn/o_proj/MatMul", inputs=1 / shared)
    onnx.save(model, target)


def in_blocks(size: int) -> Quantize:
    """8 bits in blocks of a size."""

    def quantize(source: Path, target: Path) -> None:
        before, blocks._block = blocks._block, lambda model: size
        try:
            blocks.by_block(source, target, (), 8)
        finally:
            blocks._block = before

    return quantize


def nearest(is_symmetric: bool) -> Callable[..., tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """4 bits to the nearest number of a block's range."""

    def rounded(weight: np.ndarray, moment: np.ndarray, block: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        parts = weight.T.reshape(weight.shape[1], -1, block)
        low, high = np.minimum(parts.min(2), 0), np.maximum(parts.max(2), 0)
        far = np.where(high > -low, high, low)  # onnxruntime's symmetric range ends at the largest number
        scales = far / -8 if is_symmetric else (high - low) / 15
        scales = np.where(scales == 0, 1, scales).astype(np.float32)
        zeros = np.full(scales.shape, 8.0) if is_symmetric else np.clip(np.round(-low / scales), 0, 15)
        numbers = np.clip(np.round(parts / scales[..., None]) + zeros[..., None], 0, 15).astype(np.uint8)
        return numbers.reshape(weight.T.shape), scales, zeros.astype(np.uint8)

    return rounded


def k_quant(weight: np.ndarray, moment: np.ndarray, block: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """4 bits by k-quants: the range that loses least where weights are large."""
    numbers, scales, zeros = quant_tensor_k_quant_cpu(np.ascontiguousarray(weight.T), 4, block)
    shape = weight.shape[1], -1
    return numbers.astype(np.uint8).reshape(shape), scales.astype(np.float32).reshape(shape), zeros.reshape(shape)


def in_four(sample: Sample, rounded: Callable[..., Any]) -> Quantize:
    """4 bits, rounded by a function like `gptq.rounded`."""

    def quantize(source: Path, target: Path) -> None:
        before = vars(blocks)["rounded"]
        vars(blocks)["rounded"] = rounded
        try:
            blocks.by_block(source, target, (), 4, sample)
        finally:
            vars(blocks)["rounded"] = before

    return quantize


def ways(sample: Sample) -> Iterator[tuple[str, Quantize]]:
    """Every way, by its name."""
    yield "int8 `dynamic`", lambda source, target: dynamic(source, target, (), (*PRODUCTS, *TABLES))
    yield from ((f"int8 `weights`, blocks of {size}", in_blocks(size)) for size in (128, 64, 32))
    yield "int4, nearest, symmetric (onnxruntime's default)", in_four(sample, nearest(True))
    yield "int4, nearest, asymmetric", in_four(sample, nearest(False))
    yield "int4, k-quant", in_four(sample, k_quant)
    yield f"int4, GPTQ on {sample.rows} rows", in_four(sample, gptq.rounded)


def line(name: str, graph: Path, found: tuple[float, float], plain: tuple[float, float], seconds: float) -> str:
    """A line of the table."""
    each = (f"{value:.2f} | {value / before - 1:+.1%}" for value, before in zip(found, plain, strict=True))
    return f"| {name} | {' | '.join(each)} | {graph.stat().st_size / 1e6:.0f} | {seconds:.0f} |"


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--validation", type=Path, required=True)
    parser.add_argument("--prompt", default="prompt")
    parser.add_argument("--completion", default="completion")
    parser.add_argument("--rows", type=int, default=32)
    parser.add_argument("--calibration", type=int, default=128)
    parser.add_argument("--rescale", action="store_true")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", type=Path, default=Path("build"))
    asked = parser.parse_args(arguments)
    model, columns = Model(asked.bundle, "fp32"), (asked.prompt, asked.completion)
    rows = read(model, asked.validation, columns, asked.rows)
    taken = read(model, asked.train, columns, asked.calibration)
    sample = Sample([batch for _, batch in batches(model, taken)], len(taken), asked.threads, Path("ranges.json"))
    lines = [
        "| weights | of completions | | of prompts | | MB | seconds to make |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    print(*lines, sep="\n", flush=True)
    with TemporaryDirectory() as made:
        source, target = asked.bundle / "model.onnx", Path(made) / "quantized.onnx"
        if asked.rescale:
            rescaled(source, Path(made) / "rescaled.onnx")
            source = Path(made) / "rescaled.onnx"
        plain = perplexities(model, source, rows, asked.threads)
        lines.append(line("fp32", source, plain, plain, 0))
        print(lines[-1], flush=True)
        for name, quantize in ways(sample):
            start = time.perf_counter()
            quantize(source, target)
            seconds = time.perf_counter() - start
            lines.append(line(name, target, perplexities(model, target, rows, asked.threads), plain, seconds))
            print(lines[-1], flush=True)
    asked.output.mkdir(parents=True, exist_ok=True)
    (asked.output / "roundings.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
