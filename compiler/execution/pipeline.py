"""Which stages a plan needs, in order, and the key of each; no torch here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..digest import combined, digest, file_sha256
from ..planning.plan import Plan
from .machine import Machine, versions

PACKAGE = Path(__file__).resolve().parents[2]
# what preprocessing and the checkpoint take from a backbone besides its weights
PREPROCESSING = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "preprocessor_config.json")
TORCH = ("torch", "transformers", "safetensors", "numpy")


@dataclass(frozen=True)
class Stage:
    """A unit of execution: `stages/<name>.py` fills its folder; `record` is all of the plan that it depends on."""

    name: str
    format: int  # raised when the stage's code gives another output for the same record
    record: Mapping[str, Any]
    inputs: tuple[str, ...]
    libraries: tuple[str, ...]
    is_numeric: bool = True  # whether device and threads matter
    resumes: bool = False


def stages(plan: Plan, weights_sha256: str, assets_sha256: str = "", licence: str = "") -> tuple[Stage, ...]:
    """The stages of a plan in an order in which each finds its inputs done.

    The hashes and the licence are of the backbone's files: its weights, and those that PREPROCESSING names.
    """
    whole = plan.model_dump(mode="json", exclude={"estimates"})
    backbone = {**whole["backbone"], "weights": weights_sha256}
    head, train, export = whole["head"], whole["train"], whole["export"]
    model = {"backbone": backbone, "method": whole["method"], "head": head, "inputs": whole["data"]["inputs"]}
    rows = {
        "data": {k: v for k, v in whole["data"].items() if k not in ("augment", "inputs")},
        "head": {k: head["record"].get(k) for k in ("labels", "is_multi")},
        "type": head["type"],
        "seed": plan.seed,
        "assets": assets_sha256,
    }
    fixed = {k: export[k] for k in ("exporter", "opset", "optimize", "inputs", "outputs")}
    is_folded = train["fold"] == "feature"
    features = "fold" if is_folded else "prepare"
    fold = {
        "backbone": backbone,
        "pooling": head["pooling"],
        "inputs": whole["data"]["inputs"],
        "precision": train["precision"],
    }
    gates = {"parity": plan.export.parity, "metric_drop": plan.export.metric_drop}
    golden = {"samples": export["samples"], "sha256": export["samples_sha256"]}
    trains = {
        **model,
        "train": train,
        "augment": whole["data"]["augment"],
        "preprocessing": whole["data"]["preprocessing"],
        "seed": plan.seed,
        "validation": [s["name"] for s in whole["data"]["splits"]],
    }
    found = [
        Stage("prepare", 1, rows, (), ("numpy", "tokenizers", "pillow"), is_numeric=False),
        Stage("fold", 1, fold, ("prepare",), TORCH) if is_folded else None,
        Stage("rehearse", 1, {"model": model, "export": fixed, "seed": plan.seed, "parity": plan.export.parity}, ("prepare",), (*TORCH, "peft", "onnx", "onnxruntime")),
        Stage("train", 1, trains, (features, "prepare", "rehearse") if is_folded else ("prepare", "rehearse"), (*TORCH, "peft", "accelerate", "torchmetrics", "kornia"), resumes=True),
        Stage("evaluate", 1, {"metric": train["metric"]}, ("train", "prepare", "fold") if is_folded else ("train", "prepare"), (*TORCH, "torchmetrics")),
        Stage("export", 1, {"export": fixed, "parity": plan.export.parity}, ("train", "prepare"), (*TORCH, "peft", "onnx", "onnxruntime")),
        Stage("quantize", 1, {}, ("export",), ("onnx", "onnxruntime")) if "int8" in plan.export.precision else None,
        Stage("checkpoint", 1, {}, ("train", "prepare"), (*TORCH, "peft")),
        Stage("verify", 1, {"gates": gates, "precision": export["precision"], "golden": golden}, ("export", "evaluate", "prepare", *(("quantize",) if "int8" in plan.export.precision else ())), ("onnxruntime", "tokenizers", "pillow", "numpy", "torchmetrics")),
        Stage("pack", 1, {"plan": plan.sha256, "licence": licence, "runtime": _runtime()}, ("verify", "checkpoint", "evaluate", "export", "train", *(("quantize",) if "int8" in plan.export.precision else ())), ("graftc", "jinja2", "onnxruntime", "numpy", "tokenizers")),
    ]  # fmt: skip
    return tuple(stage for stage in found if stage)


def _runtime() -> str:
    """A hash of what a bundle copies from this package."""
    files = [*(PACKAGE / "runtime").rglob("*.py"), *(PACKAGE / "templates").rglob("*.j2")]
    return combined(f"{path.relative_to(PACKAGE).as_posix()} {file_sha256(path)}" for path in sorted(files))


LEARNS = frozenset({"train"})  # stages in which weights are learnt: the costly ones
# the rehearsal's outcome changes no other output, so its key stays out of theirs
SILENT = frozenset({"rehearse"})


def keys(found: tuple[Stage, ...], machine: Machine) -> dict[str, str]:
    """The key of every stage: equal keys mean equal outputs."""
    known: dict[str, str] = {}
    for stage in found:
        known[stage.name] = digest({
            "stage": stage.name, "format": stage.format, "record": stage.record,
            "inputs": {name: known[name] for name in stage.inputs if name not in SILENT},
            "versions": versions(stage.libraries),
            "machine": {"device": machine.device, "threads": machine.threads} if stage.is_numeric else {},
        })  # fmt: skip
    return known


def needed(found: tuple[Stage, ...], is_done: Callable[[Stage], bool]) -> frozenset[str]:
    """From the end backwards: a stage whose output is there needs none of its inputs."""
    missing: set[str] = set()
    wanted = {found[-1].name}
    for stage in reversed(found):
        if stage.name in wanted and not is_done(stage):
            missing.add(stage.name)
            wanted.update(stage.inputs)
    return frozenset(missing)
