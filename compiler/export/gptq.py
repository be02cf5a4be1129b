"""Rounds weights to 4 bits so that products change least on inputs that were seen.

GPTQ (Frantar et al. 2022, arXiv:2210.17323): weights are rounded input by input, and those that are still to come make
up for the error, as far as inputs go together. Scale and zero of a block are those that k-quants find in its weights as
they are then.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
from onnxruntime.quantization.neural_compressor.weight_only import quant_tensor_k_quant_cpu

from ...runtime.session import Session

DAMPING = 0.01  # share of the mean square of inputs that is added to each, the paper's
AT_ONCE = 128  # inputs after which errors are passed on to all others
MOST = 15  # the largest number of 4 bits
ROOM = 1 << 29  # bytes of second moments that are held at once
Batches = Sequence[Mapping[str, np.ndarray]]


def moments(
    model: onnx.ModelProto, sizes: Mapping[str, int], batches: Batches, threads: int, folder: Path
) -> Iterator[dict[str, np.ndarray]]:
    """Second moments (size, size) of tensors by name, some at a time; `sizes` are those of their last axis.

    Padding does not count. Each part runs the graph over all batches.
    """
    for names in _parts(sizes):
        yield _moments(model, names, batches, threads, folder)


def _parts(sizes: Mapping[str, int]) -> Iterator[list[str]]:
    part: list[str] = []
    held = 0
    for name, size in sizes.items():
        if part and held + 4 * size * size > ROOM:
            yield part
            part, held = [], 0
        part.append(name)
        held += 4 * size * size
    if part:
        yield part


def _moments(
    model: onnx.ModelProto, names: Sequence[str], batches: Batches, threads: int, folder: Path
) -> dict[str, np.ndarray]:
    session = _shown(model, names, threads, folder)
    found: dict[str, np.ndarray] = {}
    for batch in batches:
        real = np.asarray(batch["attention_mask"], bool).ravel()
        for name, values in session.run(_given(model.graph.input, batch), names).items():
            flat = values.reshape(-1, values.shape[-1])[real]
            seen = flat.T @ flat
            found[name] = found[name] + seen if name in found else seen
    return found


def _shown(model: onnx.ModelProto, names: Iterable[str], threads: int, folder: Path) -> Session:
    """The graph with other tensors as its outputs."""
    shown = onnx.ModelProto()
    shown.CopyFrom(model)  # weights beside a graph are taken out of it
    del shown.graph.output[:]
    shown.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    with TemporaryDirectory(dir=folder) as made:
        onnx.save(shown, f"{made}/shown.onnx", save_as_external_data=True, location="shown.data")
        return Session(Path(made) / "shown.onnx", threads)


def _given(inputs: Iterable[onnx.ValueInfoProto], batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A batch with the inputs that a single pass leaves out: a cache without tokens, and numbers that are 0."""
    return {
        item.name: batch[item.name] if item.name in batch else _empty(item, len(batch["input_ids"])) for item in inputs
    }


def _empty(item: onnx.ValueInfoProto, rows: int) -> np.ndarray:
    sides = item.type.tensor_type.shape.dim
    shape = [side.dim_value or (0 if i else rows) for i, side in enumerate(sides)]
    return np.zeros(shape, onnx.helper.tensor_dtype_to_np_dtype(item.type.tensor_type.elem_type))


def rounded(weight: np.ndarray, moment: np.ndarray, block: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A weight (inputs, outputs) in 4 bits: numbers (outputs, inputs), scales and zeros (outputs, blocks).

    `moment` (inputs, inputs) is the second moment of inputs; inputs are a multiple of `block`. Numbers and zeros are
    uint8, scales float32.
    """
    left, passes = weight.astype(np.float32), _passes(moment)
    inputs, outputs = left.shape
    numbers = np.zeros(left.shape, np.uint8)
    scales, zeros = (np.zeros((inputs // block, outputs), np.float32) for _ in range(2))
    for start in range(0, inputs, AT_ONCE):
        end = min(start + AT_ONCE, inputs)
        errors = np.zeros((end - start, outputs), np.float32)
        for i in range(start, end):
            at = i // block
            if i % block == 0:
                scales[at], zeros[at] = _grid(left[i : i + block].T, block)
            numbers[i] = np.clip(np.round(left[i] / scales[at]) + zeros[at], 0, MOST)
            errors[i - start] = (left[i] - scales[at] * (numbers[i] - zeros[at])) / passes[i, i]
            left[i:end] -= passes[i, i:end, None] * errors[i - start]
        left[end:] -= passes[start:end, end:].T @ errors
    return numbers.T, scales.T, zeros.T.astype(np.uint8)


def _grid(values: np.ndarray, block: int) -> tuple[np.ndarray, np.ndarray]:
    """Scale and zero of each row of a block (outputs, block)."""
    _, scales, zeros = quant_tensor_k_quant_cpu(np.ascontiguousarray(values), 4, block)
    return np.where(scales > 0, scales, 1)[:, 0], zeros[:, 0]


def _passes(moment: np.ndarray) -> np.ndarray:
    """How the error of an input is passed on to later ones: the upper Cholesky factor of the inverse of `moment`."""
    own = moment.astype(np.float64)
    sides = np.arange(len(own))
    own[sides, sides] += DAMPING * own[sides, sides].mean() + np.finfo(np.float32).tiny
    found: np.ndarray = np.linalg.cholesky(np.linalg.inv(own)).T.astype(np.float32)
    return found
