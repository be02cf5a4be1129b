"""Runs a spec's stages up to training, for tests that look at what came out."""

from __future__ import annotations

import json
from dataclasses import replace
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
from graftc.compiler.stages.train import job_of
from graftc.compiler.store.store import Store
from graftc.compiler.training.loop import Training

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
    work = _work(spec)
    found, keys = _stages(work, last)
    run_stages(found, keys, work, Store(store))
    return work.plan, work.backbone, Store(store).path(last, keys[last])


def training(spec: Path, store: Path) -> tuple[Plan, Path, Training]:
    """(plan, backbone folder, the training after its last epoch), for a look at the very network that was trained."""
    work = _work(spec)
    found, keys = _stages(work, "train")
    before = found[:-1]
    for i in range(len(before)):  # each for itself: the last one needs none of them
        run_stages(before[: i + 1], keys, work, Store(store))
    inputs = {stage.name: Store(store).path(stage.name, keys[stage.name]) for stage in before}
    out = store / "training"
    out.mkdir()
    job = job_of(replace(work, inputs=inputs, out=out))
    run = Training(job, work.progress)
    run.epochs()
    return work.plan, work.backbone, run


def _work(spec: Path) -> Work:
    plan = plan_of(spec)
    backbone = gather_backbone(plan.backbone.source, spec.parent).located.folder
    return Work(plan, spec.parent, backbone, describe(), {}, Path(), Progress(is_quiet=True))


def _stages(work: Work, last: str) -> tuple[tuple[pipeline.Stage, ...], dict[str, str]]:
    """(the stages up to one, the key of each), without the rehearsal, which makes nothing that others read."""
    stages = steps.stages(work.plan, "weights")
    upto = stages[: [stage.name for stage in stages].index(last) + 1]
    return tuple(stage for stage in upto if stage.name != "rehearse"), pipeline.keys(upto, work.machine)


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
