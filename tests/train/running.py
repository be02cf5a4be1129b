"""Runs a spec's stages up to training, for tests that look at what came out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from graftc.compiler.api import plan as plan_of
from graftc.compiler.execution import pipeline, steps
from graftc.compiler.execution.executor import run_stages
from graftc.compiler.execution.progress import Progress
from graftc.compiler.execution.work import Work
from graftc.compiler.facts.backbone import gather_backbone
from graftc.compiler.machine import describe
from graftc.compiler.planning.plan import Plan
from graftc.compiler.stages.train import Training
from graftc.compiler.store.store import Store

ROOT = Path(__file__).resolve().parents[2]
TICKETS = ROOT / "specs" / "data" / "tickets"
DIGITS = ROOT / "specs" / "data" / "digits"


def write_spec(folder: Path, **sections: Any) -> Path:
    """Writes a spec file."""
    path = folder / "spec.yaml"
    path.write_text(yaml.safe_dump({"graftc": 1, "name": "t", **sections}, sort_keys=False))
    return path


def trained(spec: Path, store: Path, last: str = "train") -> tuple[Plan, Path, Path]:
    """(plan, backbone folder, folder of the last stage) after running all that this one needs."""
    plan = plan_of(spec)
    backbone = gather_backbone(plan.backbone.source, spec.parent).located.folder
    machine = describe()
    stages = steps.stages(plan, "weights")
    upto = stages[: [stage.name for stage in stages].index(last) + 1]
    keys = pipeline.keys(upto, machine)
    work = Work(plan, spec.parent, backbone, machine, {}, Path(), Progress(is_quiet=True))
    run_stages(upto, keys, work, Store(store))
    return plan, backbone, Store(store).path(last, keys[last])


def training(spec: Path, store: Path) -> tuple[Plan, Path, Training]:
    """(plan, backbone folder, the training after its last epoch), for a look at the very network that was trained."""
    plan = plan_of(spec)
    backbone = gather_backbone(plan.backbone.source, spec.parent).located.folder
    machine = describe()
    stages = steps.stages(plan, "weights")
    before = stages[: [stage.name for stage in stages].index("train")]
    keys = pipeline.keys(before, machine)
    work = Work(plan, spec.parent, backbone, machine, {}, Path(), Progress(is_quiet=True))
    for i in range(len(before)):  # each for itself: the last one needs none of them
        run_stages(before[: i + 1], keys, work, Store(store))
    inputs = {stage.name: Store(store).path(stage.name, keys[stage.name]) for stage in before}
    out = store / "training"
    out.mkdir()
    run = Training(Work(plan, spec.parent, backbone, machine, inputs, out, Progress(is_quiet=True)))
    run.epochs()
    return plan, backbone, run


def without_dropout(source: Path, target: Path) -> Path:
    """A copy of a backbone whose config turns every dropout off; the weights are linked."""
    target.mkdir()
    for file in source.iterdir():  # folders too, which modules.json names
        (target / file.name).symlink_to(file)
    config = json.loads((source / "config.json").read_bytes())
    config |= dict.fromkeys(("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout_prob"), 0.0)
    (target / "config.json").unlink()
    (target / "config.json").write_text(json.dumps(config))
    return target
