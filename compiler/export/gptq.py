"""Rounds weights to 4 bits so that a product changes least on inputs that were seen.

GPTQ (Frantar et al. 2022, arXiv:2210.17323): weights are rounded input by input, and those that are still to come make
up for the error, as far as inputs go together. Scales and zeros of a block are those that k-quants find in the weights
as they are then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnxruntime.quantization.neural_compressor.weight_only import quant_tensor_k_quant_cpu

from ...runtime.session import Session

DAMPING = 0.01  # share of the mean square of inputs that is added to each, the paper's
AT_ONCE = 128  # inputs after which the error is passed on to all others
MOST = 15  # the largest number of 4 bits
Moments = dict[str, np.ndarray]  # tensor → sums of products of its components, (inputs, inputs)


def moments(graph: Path, tensors: Iterable[str], batches: Sequence[Mapping[str, np.ndarray]], threads: int) -> Moments:
    """Second moments of some tensors (rows, tokens, inputs) of a graph over batches, without padding.

    A file beside the graph holds it with these tensors as outputs.
    """
    names = list(dict.fromkeys(tensors))
    model = onnx.load(str(graph))
    del model.graph.output[:]
    model.graph.output.extend(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in names)
    shown = graph.with_name(f"shown-{graph.name}")
    onnx.save(model, str(shown))
    session, sides = Session(shown, threads), {item.name: item for item in model.graph.input}
    found: Moments = {}
    for batch in batches:
        rows = len(batch["input_ids"])
        given = {name: batch[name] if name in batch else _empty(item, rows) for name, item in sides.items()}
        real = np.asarray(batch["attention_mask"], bool).ravel()
        for name, values in session.run(given, names).items():
            flat = values.reshape(-1, values.shape[-1])
            seen = flat[real] if len(flat) == len(real) else flat
            found[name] = found.get(name, 0) + (seen.T @ seen).astype(np.float64)
    shown.unlink()
    return found


def _empty(item: onnx.ValueInfoProto, rows: int) -> np.ndarray:
    """An input that a single pass leaves empty: a cache without tokens; numbers are 0."""
    sides = item.type.tensor_type.shape.dim
    shape = [side.dim_value or (rows if i == 0 else 0) for i, side in enumerate(sides)]
    return np.zeros(shape, onnx.helper.tensor_dtype_to_np_dtype(item.type.tensor_type.elem_type))


def rounded(weight: np.ndarray, moment: np.ndarray, block: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A weight (outputs, inputs) in 4 bits: numbers uint8, scales float32 and zeros uint8 (outputs, blocks).

    `moment` is the second moment of inputs; inputs are a multiple of `block`.
    """
    left, passes = weight.astype(np.float32), _passes(moment)
    numbers = np.zeros(weight.shape, np.uint8)
    shape = len(weight), weight.shape[1] // block
    scales, zeros = np.zeros(shape, np.float32), np.zeros(shape, np.uint8)
    for start in range(0, weight.shape[1], AT_ONCE):
        end = min(start + AT_ONCE, weight.shape[1])
        errors = np.zeros((len(weight), end - start), np.float32)
        for i in range(start, end):
            if i % block == 0:
                _, scale, zero = quant_tensor_k_quant_cpu(left[:, i : i + block], 4, block)
                scale = np.where(scale == 0, 1, scale)
                scales[:, i // block], zeros[:, i // block] = scale[:, 0], zero[:, 0]
            scale, zero = scales[:, i // block], zeros[:, i // block].astype(np.float32)
            numbers[:, i] = np.clip(np.round(left[:, i] / scale) + zero, 0, MOST)
            errors[:, i - start] = (left[:, i] - scale * (numbers[:, i] - zero)) / passes[i, i]
            left[:, i:end] -= errors[:, i - start, None] * passes[i, i:end]
        left[:, end:] -= errors @ passes[start:end, end:]
    return numbers, scales, zeros


def _passes(moment: np.ndarray) -> np.ndarray:
    """How the error of an input is passed on to later ones: the upper Cholesky factor of the inverse of `moment`."""
    own = moment.copy()
    sides = np.arange(len(own))
    own[sides, sides] += DAMPING * np.mean(np.diag(own)) + np.finfo(np.float32).tiny
    return np.linalg.cholesky(np.linalg.inv(own)).T.astype(np.float32)
