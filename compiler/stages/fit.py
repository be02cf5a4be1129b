"""Fits linear heads to features of the untouched backbone before the first step (Kumar et al., arXiv:2202.10054)."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from ..contracts.stage import Stage
from ..execution.prepared import Prepared
from ..execution.work import Work
from ..features.cache import read_cache
from ..planning.plan import TaskPlan
from ..planning.split import generator
from ..store.store import write_atomically
from ..training.fitting import Fit, fitted


def run(work: Work) -> None:
    """Writes `learned.safetensors` (weights) and `fit.json` (strength, iterations, loss and scale by head)."""
    tensors: dict[str, torch.Tensor] = {}
    said: dict[str, dict[str, Any]] = {}
    for task in work.plan.fitted:
        found = _fit(work, task)
        tensors |= {f"head.{task.named('out.weight')}": found.weight, f"head.{task.named('out.bias')}": found.bias}
        said[task.name] = {
            "strength": found.strength,
            "iterations": found.iterations,
            "loss": round(found.loss, 6),
            "scale": found.scale,
        }
        named = f"{task.name}: " if task.name else ""
        work.progress.say(f"  {named}fitted in {found.iterations} iterations, loss {found.loss:.4f}")
    save_file({name: tensor.float().contiguous() for name, tensor in tensors.items()}, work.out / "learned.safetensors")
    write_atomically(work.out / "fit.json", lambda path: path.write_text(json.dumps(said)))


def _fit(work: Work, task: TaskPlan) -> Fit:
    variant, rows = task.head.variant, Prepared(work.prepared(task, "train"))
    assert variant.convex is not None
    record, features = variant.convex(task.head.record), read_cache(work.features(task)).values
    assert record is not None  # plans fit no heads with hidden layers
    ((output, array),) = variant.outputs(record).items()

    def loss(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return variant.loss(record, {output: outputs}, targets)

    draws = generator(work.plan.seed, "fit", task.name)
    targets = torch.from_numpy(np.array(rows.targets))
    seen, count = torch.from_numpy(np.array(features, np.float32)), array["shape"][-1]
    # without further steps the backbone never learns, so no gradient has to be left for it
    is_sure = variant.gives_shares and work.plan.train.steps > 0
    return fitted(seen, targets, count, loss, draws, is_sure=is_sure)


STAGE = Stage(run=run)
