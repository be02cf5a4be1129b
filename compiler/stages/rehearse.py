"""Exports and checks the untrained network, so that a failure of export shows before training."""

from __future__ import annotations

import torch

from ..contracts.stage import Stage
from ..execution.preprocessing import preprocessor
from ..execution.work import Work
from ..export.graph import write_graphs
from ..export.parity import compare, gate, golden_inputs
from ..frozen import Json
from ..model.adapters import merge
from ..model.assembly import assemble
from ..planning.plan import Plan


def run(work: Work) -> None:
    """Raises Refused E0401 or E0408 where the network can't become a bundle."""
    plan = _before(work.plan)
    torch.set_num_threads(work.machine.threads)
    network = assemble(plan, work.backbone)
    merge(network, plan)
    processor = preprocessor(plan, work.backbone)
    inputs = golden_inputs(plan)
    write_graphs(network, plan, processor, inputs, work.out)
    gate(compare(network, plan, processor, work.out, inputs), plan, work.out)
    for file in work.out.iterdir():
        file.unlink()
    (work.out / "fine").touch()


def _before(plan: Plan) -> Plan:
    """The plan before any stage of `pretrain`, which may fit a language-model head."""
    if not plan.pretrain:
        return plan
    tasks = []
    for task in plan.tasks:
        record = task.head.record.plain()
        changed = {"record": Json(record | {"is_new": True})} if "is_new" in record else {}
        tasks.append(task.model_copy(update={"head": task.head.model_copy(update=changed)}))
    return plan.model_copy(update={"tasks": tuple(tasks)})


STAGE = Stage(run=run)
