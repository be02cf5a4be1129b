"""A spec trained and scored in torch: the stages of a build up to its scores, without graphs, gates and bundle.

The stages are the build's own, so that a store makes a second run a no-op, and one that was killed goes on.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from graftc.compiler.api import ready
from graftc.compiler.execution import pipeline
from graftc.compiler.execution.executor import run_stages, stages_of
from graftc.compiler.execution.progress import Progress
from graftc.compiler.execution.work import Work
from graftc.compiler.facts.backbone import gather_backbone
from graftc.compiler.language.source import read
from graftc.compiler.machine import describe
from graftc.compiler.planning.plan import Plan
from graftc.compiler.store.store import Store

GRAPHS = "rehearse"  # the stage that tries the export of a graph before training, which no score depends on


@dataclass(frozen=True)
class Trained:
    """The plan, the history of its training, all scores, and test rows' outputs with what they are held against."""

    plan: Plan
    history: Mapping[str, Any]
    scores: Mapping[str, Mapping[str, float]]
    outputs: np.ndarray
    targets: np.ndarray
    thresholds: np.ndarray | None  # of labels, where a row has several
    seconds: Mapping[str, float]  # of each stage, by the wall
    busy: Mapping[str, float]  # of the processor


def trained(name: str, sections: Mapping[str, Any], output: Path) -> Trained:
    """Runs what is missing of a spec's stages up to its scores; spec and store lie in `output`."""
    path = output / "specs" / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump({"graftc": 1, "name": name, **sections}, sort_keys=False))
    made = ready(read(path)).plan
    plan = Plan.model_validate_json(made.text())
    folder = gather_backbone(plan.backbone.source, path.parent, weights=True).located.folder.absolute()
    store, machine = Store(output / "store"), describe()
    stages = _until_scored(stages_of(plan, folder, store))
    known = pipeline.keys(stages, machine)
    work = Work(plan, path.parent.absolute(), folder, machine, {}, Path(), Progress())
    kept = output / "seconds" / f"{name}.json"  # of the runs that did the work
    kept.parent.mkdir(exist_ok=True)
    took: dict[str, tuple[float, float]] = json.loads(kept.read_bytes()) if kept.is_file() else {}
    for end in range(1, len(stages) + 1):
        before = time.process_time()
        for stage, seconds in run_stages(stages[:end], known, work, store).items():
            took[stage] = (round(seconds, 3), round(time.process_time() - before, 3))
    kept.write_text(json.dumps(took))
    at = {stage.name: store.path(stage.name, known[stage.name]) for stage in stages}
    (task,) = plan.tasks
    calibrated = json.loads((at["evaluate"] / "calibrated.json").read_bytes())[task.name]
    with np.load(at["evaluate"] / "test.npz", allow_pickle=False) as arrays:
        outputs = arrays["logits"]
    return Trained(
        plan, json.loads((at["train"] / "history.json").read_bytes()),
        json.loads((at["evaluate"] / "metrics.json").read_bytes()), outputs,
        np.load(at["prepare-test"] / "targets.npy"),
        np.array(calibrated["thresholds"]) if "thresholds" in calibrated else None,
        {stage: wall for stage, (wall, _) in took.items()}, {stage: busy for stage, (_, busy) in took.items()},
    )  # fmt: skip


def _until_scored(stages: tuple[pipeline.Stage, ...]) -> tuple[pipeline.Stage, ...]:
    """The stages up to `evaluate`, none of which waits for a graph."""
    names = [stage.name for stage in stages]
    wanted = [stage for stage in stages[: names.index("evaluate") + 1] if stage.name != GRAPHS]
    return tuple(replace(s, inputs=tuple(name for name in s.inputs if name != GRAPHS)) for s in wanted)
