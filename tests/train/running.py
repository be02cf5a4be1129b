"""Runs a spec's stages up to training, for tests that look at what came out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from graftc.compiler import pipeline
from graftc.compiler.backbone import gather_backbone
from graftc.compiler.executor import Work, run_stages
from graftc.compiler.machine import describe
from graftc.compiler.plan import Plan
from graftc.compiler.progress import Progress
from graftc.compiler.store import Store
from graftc.compiler.verbs import plan as plan_of

ROOT = Path(__file__).resolve().parents[2]
TICKETS = ROOT / "specs" / "data" / "tickets"
DIGITS = ROOT / "specs" / "data" / "digits"


def write_spec(folder: Path, **sections: Any) -> Path:
    """Writes a spec file."""
    path = folder / "spec.yaml"
    path.write_text(yaml.safe_dump({"graftc": 1, "name": "t", **sections}, sort_keys=False))
    return path


def trained(spec: Path, store: Path) -> tuple[Plan, Path, Path]:
    """(plan, backbone folder, folder of the train stage) after running all that training needs."""
    plan = plan_of(spec)
    backbone = gather_backbone(plan.backbone.source, spec.parent).located.folder
    machine = describe(plan.train.batch_size)
    stages = pipeline.stages(plan, "weights")
    upto = stages[: [stage.name for stage in stages].index("train") + 1]
    keys = pipeline.keys(upto, machine)
    work = Work(plan, spec.parent, backbone, machine, {}, Path(), Progress(is_quiet=True))
    run_stages(upto, keys, work, Store(store))
    return plan, backbone, Store(store).path("train", keys["train"])


def without_dropout(source: Path, target: Path) -> Path:
    """A copy of a backbone whose config turns every dropout off; the weights are linked."""
    target.mkdir()
    for file in source.iterdir():
        if file.is_file():
            (target / file.name).symlink_to(file)
    config = json.loads((source / "config.json").read_bytes())
    config |= dict.fromkeys(("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout_prob"), 0.0)
    (target / "config.json").unlink()
    (target / "config.json").write_text(json.dumps(config))
    return target
