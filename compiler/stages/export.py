"""Merges adapters, writes the graphs, and checks that outputs did not change."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from safetensors.torch import load_file

from ..bundling.manifest import file_of
from ..contracts.method import Method
from ..contracts.stage import Stage
from ..diagnostics import refuse
from ..execution.prepared import Prepared, write_outputs
from ..execution.preprocessing import preprocessor
from ..execution.work import Work
from ..export.fusion import fused
from ..export.graph import write_graphs
from ..export.parity import Parity, apart, compare, gate, golden_inputs, on_rows, outputs
from ..model.adapters import merge
from ..model.assembly import assemble, learned, part_of, remember
from ..model.network import Network
from ..planning.plan import Plan

REAL = 16  # rows of the data on which graphs are compared besides generated inputs


def run(work: Work) -> None:
    """Writes the graphs, `parity.json` and `fused.json`; raises Refused E0401, E0403, E0404, E0408 or E0513."""
    plan = work.plan
    torch.set_num_threads(work.machine.threads)
    network = remember(work.memory, plan, work.backbone, work.inputs["train"]).to("cpu").eval()
    processor = preprocessor(plan, work.backbone)
    inputs = golden_inputs(plan)
    merged = _merge(network, plan, processor, inputs, work)
    write_graphs(network, plan, processor, inputs, work.out)
    parity = compare(network, plan, processor, work.out, inputs)
    gate(parity, plan, work.out)
    on_rows = [_on_rows(network, plan, processor, work.out, work.prepared(task, task.gated)) for task in plan.tasks]
    parity = max(parity, *on_rows, key=lambda p: p.worst)
    gate(parity, plan, work.out)
    found: dict[str, Any] = {
        "parity": {"worst": parity.worst, "allowed": plan.export.parity, "inputs": parity.inputs},
        "merge": merged,
    }
    (work.out / "parity.json").write_text(json.dumps(found))
    path = work.out / file_of(plan.export.passes[-1], "fp32")
    (work.out / "fused.json").write_text(json.dumps(fused(onnx.load(str(path), load_external_data=False))))


def _on_rows(network: Network, plan: Plan, processor: Any, folder: Path, prepared: Path) -> Parity:
    rows = Prepared(prepared)
    return on_rows(network, plan, processor, folder, [rows.row(i) for i in range(min(REAL, rows.rows))])


def _merge(network: Network, plan: Plan, processor: Any, inputs: list[Any], work: Work) -> dict[str, float] | None:
    """Merges in place; raises Refused E0403 where outputs change, E0404 where an adapter learned nothing."""
    method = plan.method.variant
    if not method.adds:
        return None
    work.memory.clear()  # merging destroys the adapted network
    adapted = outputs(network, plan, processor, inputs)
    before = _weights(network, method) if method.merges else _untrained(work)
    merge(network, plan)
    after = outputs(network, plan, processor, inputs)
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
            help="lower `adapt.alpha` or `train.learning_rate`: an update this large loses precision; "
            "or allow more with `export.gate.parity`",
        )
    state = _states(network) if method.merges else load_file(work.inputs["train"] / "learned.safetensors")
    return {"worst": worst, "allowed": plan.export.parity, **_updates(work, before, state)}


def _updates(work: Work, before: Mapping[str, torch.Tensor], after: Mapping[str, torch.Tensor]) -> dict[str, float]:
    """The number and the size of updates; raises Refused E0404 for an adapter that learned nothing."""
    changed = [name for name, tensor in before.items() if not torch.equal(after[name], tensor)]
    is_untaught = _best(work) == 0  # the fitted heads were best, so adapters are as they began
    for adapter in () if is_untaught else work.plan.each_adapter:
        names = [name for name in before if name.startswith(f"{part_of(adapter)}.")]
        if not set(names) & set(changed):
            raise refuse(
                "E0404",
                "nothing was learned: the merged weights are those of the backbone",
                f"{len(names)} adapted tensors{f' of `{adapter}`' if adapter else ''}, none changed",
                *_unjoined(work),
                f"kept for inspection: {work.inputs['train']}",
                help="raise `train.learning_rate` or train longer",
            )
    largest = float(np.max([(after[name] - tensor).abs().max() for name, tensor in before.items()]))
    return {"changed": len(changed), "adapted": len(before), "largest_update": largest}


def _best(work: Work) -> int:
    """The epoch that is kept; 0 for heads as they were fitted."""
    return int(json.loads((work.inputs["train"] / "history.json").read_bytes())["best_epoch"])


def _unjoined(work: Work) -> Iterator[str]:
    """A note on `gradual_unfreezing`, where the best epoch came before any layer learned."""
    best = _best(work)
    if best <= work.plan.train.gradual_unfreezing:
        yield f"epoch {best} was the best, when no layer had joined yet: see `train.gradual_unfreezing`"


def _states(network: Network) -> dict[str, torch.Tensor]:
    return {f"{part_of(a)}.{n}": t for a, own in network.backbones.items() for n, t in own.state_dict().items()}


def _weights(network: Network, method: Method[Any]) -> dict[str, torch.Tensor]:
    """Copies of the weights that merging will change, for every adapter."""
    # the same for all adapters
    state = network.backbone.state_dict()
    before = {method.plain(n): state[n].clone() for n in state if n.endswith(".weight") and ".base_layer." in n}
    return {f"{part_of(adapter)}.{name}": tensor for adapter in network.adapters for name, tensor in before.items()}


def _untrained(work: Work) -> dict[str, torch.Tensor]:
    """The tensors that the method added, as they were before training."""
    fresh = learned(assemble(work.plan, work.backbone), work.plan)
    return {n: t.detach().clone() for n, t in fresh.items() if not n.startswith("head.")}


STAGE = Stage(run=run)
