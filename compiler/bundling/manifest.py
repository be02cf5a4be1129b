"""Composes a bundle's manifest: the data that runtimes and auditors need."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...runtime.manifest import FORMAT, MODEL, SAMPLES_ALLOWED
from ..files import beginning
from ..machine import installed
from ..planning.export import GraphPlan, padding
from ..planning.plan import Plan, TaskPlan
from ..store.hashes import combined, digest

LIBRARIES = ("torch", "transformers", "peft", "onnx", "onnxruntime", "numpy")
CARD = 65_536  # bytes of a model card that are read
LICENCE = re.compile(
    r"""^license:[ \t]*(?P<quote>["']?)(?P<word>[A-Za-z0-9][A-Za-z0-9.+-]{0,63})(?P=quote)[ \t]*$""", re.MULTILINE
)
Calibrated = Mapping[str, Mapping[str, Mapping[str, Any]]]


def compose(plan: Plan, calibrated: Calibrated, metrics: Mapping[str, Any], gates: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest without its list of files and licences.

    `calibrated` holds by precision and task the fields that replace those of the task's record.
    """
    export = plan.export
    return {
        **{"bundle": FORMAT, "graftc": installed("graftc"), "name": plan.name, "description": plan.description},
        "heads": {task.name: _head(task, calibrated, padding(export)) for task in plan.tasks},
        "calibrated": {precision: dict(own) for precision, own in calibrated.items()},
        "precisions": list(export.precision),
        "graphs": {name: _graph(name, graph, export.precision) for name, graph in export.graphs.items()},
        **({"passes": list(export.passes)} if export.passes != (MODEL,) else {}),
        "preprocessing": plan.reading.preprocessing.plain(),
        **{"opset": export.opset, "exporter": export.exporter, "optimize": export.optimize},
        **{"metric": plan.train.metric, "metrics": dict(metrics)},
        "gates": {"samples_allowed": SAMPLES_ALLOWED, **gates},
        "backbone": _backbone(plan),
        "parameters": {"total": plan.estimates.parameters, "trainable": plan.estimates.trainable, **_before(plan)},
        "rows": {task.named(split.name): split.rows for task in plan.tasks for split in task.data.splits},
        **_left_out(plan),
        "hashes": _hashes(plan),
        "versions": {library: installed(library) for library in LIBRARIES},
    }


def file_of(graph: str, precision: str) -> str:
    """The file of a graph in a precision.

    >>> file_of("model", "fp32"), file_of("model", "int8")
    ('model.onnx', 'model.int8.onnx')
    """
    return f"{graph}.onnx" if precision == "fp32" else f"{graph}.{precision}.onnx"


def _graph(name: str, graph: GraphPlan, precisions: Sequence[str]) -> dict[str, Any]:
    files = {precision: file_of(name, precision) for precision in precisions}
    return {"files": files, "inputs": graph.inputs.plain(), "outputs": graph.outputs.plain()}


def _backbone(plan: Plan) -> dict[str, Any]:
    backbone, method = plan.backbone, plan.method.method
    return {"source": backbone.source, "family": backbone.family, "method": method, **_adapters(plan)}


def _hashes(plan: Plan) -> dict[str, str]:
    """Hashes of the plan, the spec, the backbone and the data."""
    tables = (table for task in plan.tasks for split in task.data.splits for table in split.tables)
    return {
        "plan": plan.sha256,
        "spec": digest(plan.spec.plain()),
        "backbone": combined([plan.backbone.config_sha256, plan.backbone.header_sha256]),
        "data": combined(table.sha256 for table in tables),
    }


def _left_out(plan: Plan) -> dict[str, Any]:
    """The number of unusable rows by split and kind, with the name of a phase before that of its splits."""
    before = [(f"pretrain-{i}.", phase) for i, phase in enumerate(plan.pretrain, 1)]
    phases = [("", plan), *before, *([("retain.", plan.retain)] if plan.retain else [])]
    found = {
        f"{name}{task.named(split.name)}": split.left_out.plain()
        for name, phase in phases
        for task in phase.tasks
        for split in task.data.splits
        if split.left_out
    }
    return {"left_out": found} if found else {}


def _before(plan: Plan) -> dict[str, Any]:
    """The number of parameters that learned in each stage of `pretrain`."""
    return {"pretrain": [stage.trainable for stage in plan.pretrain]} if plan.pretrain else {}


def _adapters(plan: Plan) -> dict[str, Any]:
    return {"adapters": plan.adapters.model_dump(mode="json")} if plan.adapters else {}


def _head(task: TaskPlan, calibrated: Calibrated, padding: Mapping[str, str]) -> dict[str, Any]:
    """The fields of a head that are the same in every precision."""
    own = {field for each in calibrated.values() for field in each.get(task.name, {})}
    found = {
        "type": task.head.type,
        "pooling": task.head.pooling,
        "metric": task.metric,
        **({"text_metrics": list(texts)} if (texts := task.head.variant.metrics.of_texts) else {}),
        **task.head.record.plain(),
        **padding,
    }
    return {key: value for key, value in found.items() if value is not None and key not in own}


def licence(backbone: Path) -> str:
    """The licence in the front matter of a backbone's model card, as one word, or `unknown`."""
    text = (beginning(backbone / "README.md", CARD) or b"").decode("utf-8", "replace")
    front = text.split("\n---", 1)[0] if text.startswith("---\n") else ""
    found = LICENCE.search(front)
    return found["word"] if found else "unknown"
