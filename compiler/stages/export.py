"""Merges what was adapted, writes the graph, and proves that nothing changed on the way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from safetensors.torch import load_file

from ...runtime.session import Session
from .. import variants
from ..diagnostics import refuse
from ..execution.prepared import Prepared, write_outputs
from ..execution.work import Work
from ..networks.assembly import assemble, learned, remember
from ..networks.batches import arrays
from ..networks.fusion import fused
from ..networks.graft import Graft
from ..networks.graph import write_graph
from ..networks.parity import Parity, apart, compare, gate, golden_inputs, of_graph, of_network, outputs
from ..planning.plan import Plan
from .prepare import preprocessor

REAL = 16  # rows of the data that the gates see besides the generated inputs


def run(work: Work) -> None:
    """Writes `model.onnx`, `parity.json` and `fused.json`; raises Refused E0401, E0403, E0404, E0408 or E0513."""
    plan = work.plan
    torch.set_num_threads(work.machine.threads)
    graft = remember(work.memory, plan, work.backbone, work.inputs["train"]).to("cpu").eval()
    processor = preprocessor(plan, work.backbone)
    inputs = golden_inputs(plan)
    merged = _merge(graft, plan, processor, inputs, work)
    path = work.out / "model.onnx"
    write_graph(graft, plan, arrays(processor.collate(processor.rows(inputs[:3]).features), "cpu"), path)
    parity = compare(graft, plan, processor, path, inputs)
    gate(parity, plan, path)
    on_rows = [_on_rows(graft, plan, processor, path, work.prepared(task, task.gated)) for task in plan.tasks]
    parity = max(parity, *on_rows, key=lambda p: p.worst)
    gate(parity, plan, path)
    found: dict[str, Any] = {
        "parity": {"worst": parity.worst, "allowed": plan.export.parity, "inputs": parity.inputs},
        "merge": merged,
    }
    (work.out / "parity.json").write_text(json.dumps(found))
    (work.out / "fused.json").write_text(json.dumps(fused(onnx.load(str(path), load_external_data=False))))


def _on_rows(graft: Graft, plan: Plan, processor: Any, path: Path, prepared: Path) -> Parity:
    """The same comparison on prepared rows of the data, which the preprocessing already met."""
    rows = Prepared(prepared)
    chosen = [rows.row(i) for i in range(min(REAL, rows.rows))]
    ours = of_network(graft, plan, processor, chosen)
    worst, name = apart(ours, of_graph(Session(path), plan, processor, chosen))
    return Parity(worst, name, f"a batch of {len(chosen)} rows of the data", len(chosen))


def _merge(graft: Graft, plan: Plan, processor: Any, inputs: list[Any], work: Work) -> dict[str, float] | None:
    """Merges in place; the merged network must answer as the adapted one did, and something must have been learned."""
    method = variants.load("methods", plan.method.method)
    if not method.ADDS:
        return None
    work.memory.clear()  # the adapted form is gone after this
    adapted = outputs(graft, plan, processor, inputs)
    before = _weights(graft, method) if method.MERGES else _untrained(work)
    graft.backbone = method.merge(graft.backbone)
    after = outputs(graft, plan, processor, inputs)
    worst, _ = apart(adapted, after)
    if not worst <= plan.export.parity:
        evidence = work.out / "merge.npz"
        named = {
            f"{name}.{kind}": found[name] for kind, found in (("adapted", adapted), ("merged", after)) for name in found
        }
        write_outputs(evidence, named)
        raise refuse(
            "E0403",
            "the merged model disagrees with the adapted one",
            f"largest relative difference {worst:.1e}, allowed {plan.export.parity:.1e} by `export.gate.parity`",
            f"both answers to {len(inputs)} generated inputs are kept for inspection: {evidence}",
            help="lower `adapt.alpha` or `train.learning_rate`: an update this large loses precision; or allow more with `export.gate.parity`",
        )
    state = graft.backbone.state_dict() if method.MERGES else load_file(work.inputs["train"] / "learned.safetensors")
    changed = sum(not torch.equal(state[name], tensor) for name, tensor in before.items())
    if not changed:
        raise refuse(
            "E0404",
            "nothing was learned: the merged weights are those of the backbone",
            f"{len(before)} adapted tensors, none changed",
            f"kept for inspection: {work.inputs['train']}",
            help="raise `train.learning_rate` or train longer",
        )
    return {
        "worst": worst,
        "allowed": plan.export.parity,
        "changed": changed,
        "adapted": len(before),
        "largest_update": float(np.max([(state[n] - w).abs().max() for n, w in before.items()])),
    }


def _weights(graft: Graft, method: Any) -> dict[str, torch.Tensor]:
    """The weights that will take in an update, as they are before."""
    state = graft.backbone.state_dict()
    adapted = {n for n in state if n.endswith(".weight") and ".base_layer." in n}
    return {method.plain(n): state[n].detach().clone() for n in adapted}


def _untrained(work: Work) -> dict[str, torch.Tensor]:
    """What was added to the backbone, as it was before training."""
    fresh = learned(assemble(work.plan, work.backbone), work.plan)
    return {n: t.detach().clone() for n, t in fresh.items() if n.startswith("backbone.")}
