"""Checks a bundle: checksums and golden samples."""

from __future__ import annotations

import json
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .errors import BundleError
from .manifest import ENDS, KEEP_ENDS, SIGNATURE, VERIFIES, changed, is_odd, read_manifest, require, strangers, told
from .model import Model
from .rows import Values

SECONDS = 300.0  # time limit of a graph for the golden samples


def verify(folder: str | Path, is_strict: bool = False) -> dict[str, float]:
    """The largest difference to the golden outputs by precision, |a−b| / max(1, |a|).

    With `is_strict`, the folder may hold nothing but the bundle's files: no `.git`, no byte code. Raises BundleError
    E0503 where a file was changed, and E0504 where outputs differ by more than the bundle allows.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    require(folder, manifest, VERIFIES)
    _require_files(folder, manifest["files"], is_strict)
    try:
        if not (folder / "samples.jsonl").is_file():  # a pipe would be waited for
            raise FileNotFoundError
        lines = (folder / "samples.jsonl").read_text(encoding="utf-8").split("\n")
        samples = [json.loads(line) for line in lines if line]
    except (OSError, ValueError, RecursionError):
        samples = []
    if not samples:
        raise BundleError("E0503", "the bundle has no golden samples that can be read", help="build or copy it again")
    return {precision: _compare(folder, precision, samples, manifest) for precision in manifest["precisions"]}


def _require_files(folder: Path, files: dict[str, Any], is_strict: bool) -> None:
    """Raises BundleError E0503 for files that are changed, missing or foreign."""
    wrong, more = list(changed(folder, files)), list(map(told, strangers(folder, files, is_strict)))
    if not wrong and not more and is_odd(folder / SIGNATURE):
        more = [f"`{SIGNATURE}` is no signature"]
    if not wrong and not more:
        return
    way = "build or copy it again" if wrong else "take out what is not the bundle's own"
    if any(word.endswith(ENDS) for word in wrong):
        way = KEEP_ENDS
    raise BundleError("E0503", "the bundle is not as it was built", *[*wrong, *more][:10], help=way)


def _compare(folder: Path, precision: str, samples: list[dict[str, Any]], manifest: dict[str, Any]) -> float:
    model = Model(folder, precision)
    model.graphs.limit(SECONDS)
    try:
        rows = model.rows([sample["input"] for sample in samples])
        mine = model.evidence(rows)
        golden = {name: [row for sample in samples for row in sample["outputs"][precision][name]] for name in mine}
        apart = [difference(mine[name], golden[name]) for name in mine]
        apart += [_of_call(model, call) for sample in samples for call in sample.get("calls", ())]
        worst = float(np.max(apart))  # numpy's max returns NaN, which no limit accepts
    except (KeyError, TypeError, ValueError, IndexError):
        raise BundleError("E0503", "the bundle's golden samples are not those of its graph") from None
    # int8 kernels of other processors differ by whole quantization steps; fp32 keeps the parity gate
    allowed = manifest["gates"]["parity"]["allowed"] if precision == "fp32" else manifest["gates"]["samples_allowed"]
    if not worst <= allowed:
        raise BundleError(
            "E0504",
            f"the {precision} graph does not give its golden answers",
            f"largest relative difference {worst:.1e}, allowed {allowed:.1e}",
        )
    return worst


def _of_call(model: Model, call: dict[str, Any]) -> float:
    """The difference between a graph's outputs for a recorded call and the recorded outputs."""
    told = model.manifest["graphs"][call["graph"]]
    given = {name: array_of(call["inputs"][name], each["dtype"]) for name, each in told["inputs"].items()}
    found, golden = model.graphs.run(call["graph"], given), call["outputs"][model.precision]
    pairs = [(found[name], array_of(golden[name], "float64")) for name in told["outputs"]]
    if any(mine.shape != other.shape for mine, other in pairs):
        raise ValueError
    most = [np.abs(mine - other).max(initial=0.0) / max(1.0, np.abs(other).max(initial=0.0)) for mine, other in pairs]
    return float(np.max(most))


def kept(array: np.ndarray) -> dict[str, Any]:
    """An array of any shape as JSON, with its shape, because nested lists lose axes after an empty one."""
    return {"shape": list(array.shape), "values": np.round(array.astype(np.float64), 7).ravel().tolist()}


def array_of(found: dict[str, Any], dtype: str) -> np.ndarray:
    """An array that `kept` wrote; raises KeyError, TypeError or ValueError for anything else."""
    return np.array(found["values"], dtype).reshape(found["shape"])


def difference(found: Values, golden: list[Any]) -> float:
    """The difference between outputs of rows and golden ones; raises ValueError where number or shape differs."""
    # an empty array, as for a text without a mask, loses its shape in JSON
    theirs = [
        np.array(np.zeros((0, *own.shape[1:])) if row == [] else row, np.float64)
        for row, own in zip(golden, found, strict=True)
    ]
    if any(mine.shape != row.shape for mine, row in zip(found, theirs, strict=True)):
        raise ValueError
    most = np.max([np.abs(mine - row).max(initial=0.0) for mine, row in zip(found, theirs, strict=True)])
    return float(most / np.max([1.0, *(np.abs(row).max(initial=0.0) for row in theirs)]))


def plain(answer: Any) -> Any:
    """An answer as JSON values."""
    if isinstance(answer, dict):
        return {name: plain(item) for name, item in answer.items()}
    if isinstance(answer, tuple | list):
        return [plain(item) for item in answer]
    return asdict(answer) if is_dataclass(answer) and not isinstance(answer, type) else answer
