"""Executes a plan: runs the stages that are missing from the store and delivers the bundle."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from . import pipeline
from .backbone import gather_backbone
from .diagnostics import At, Diagnostic, Refused, refuse
from .digest import combined, file_sha256
from .machine import Machine, describe, require_build, share_cores
from .plan import Plan
from .progress import Progress
from .source import Source
from .store import Store, default_root, publish
from .verbs import check

MANIFEST = "manifest.json"


@dataclass
class Work:
    """What a stage gets: the plan, where things lie on this machine, and the folder to fill."""

    plan: Plan
    root: Path  # what the plan's data paths are relative to
    backbone: Path
    machine: Machine
    inputs: Mapping[str, Path]
    out: Path
    progress: Progress
    memory: dict[str, Any] = field(default_factory=dict)  # models that later stages of this process use again


@dataclass(frozen=True)
class Built:
    """A finished build: its bundle, the stages that ran and how many seconds each took."""

    folder: Path
    plan: Plan
    ran: dict[str, float]
    metrics: dict[str, Any]
    warnings: tuple[Diagnostic, ...] = ()


def build_source(source: Source, output: Path | None, store: Path | None, progress: Progress | None = None) -> Built:
    """Plans a source and executes the plan."""
    plan, found = check(source)
    if plan is None:
        raise Refused(found, source=source)
    try:
        built = execute(
            plan,
            source.folder,
            output or Path("bundles") / plan.name,
            Store(store or default_root()),
            progress or Progress(),
        )
    except Refused as refused:
        refused.source = refused.source or source
        raise
    return Built(built.folder, built.plan, built.ran, built.metrics, found)


def execute(plan: Plan, root: Path, output: Path, store: Store, progress: Progress) -> Built:
    """Runs what is missing and writes the bundle to `output`; a second call runs nothing."""
    refuse_output(output, plan)
    backbone = gather_backbone(plan.backbone.source, root)
    if backbone.config_sha256 != plan.backbone.config_sha256 or backbone.header.sha256 != plan.backbone.header_sha256:
        raise refuse(
            "E0405", "the backbone changed since it was planned", at=At(("backbone", "from")), help="plan again"
        )
    weights = combined(file_sha256(backbone.located.folder / name, store.digests) for name in plan.backbone.files)
    machine = describe(plan.train.batch_size)
    found = pipeline.stages(plan, weights)
    known = pipeline.keys(found, machine)
    work = Work(plan, root, backbone.located.folder, machine, {}, Path(), progress)
    ran = run_stages(found, known, work, store)
    packed = store.path("pack", known["pack"])
    deliver(packed, output)
    return Built(output, plan, ran, _metrics(packed))


def run_stages(
    found: tuple[pipeline.Stage, ...], known: Mapping[str, str], work: Work, store: Store
) -> dict[str, float]:
    """Runs the stages that something missing needs, each once; returns seconds by stage."""
    needed = _needed(found, known, store)
    if needed:
        require_build()
        share_cores()
    ran = {}
    for stage in found:
        if stage.name not in needed:
            continue
        inputs = {name: store.path(name, known[name]) for name in stage.inputs}
        start = time.monotonic()
        work.progress.say(f"{stage.name} …")
        module = import_module(f".stages.{stage.name}", __package__)

        def fill(out: Path, module: Any = module, inputs: dict[str, Path] = inputs) -> None:
            module.run(Work(work.plan, work.root, work.backbone, work.machine, inputs, out, work.progress, work.memory))

        store.make(stage.name, known[stage.name], fill, stage.resumes)
        ran[stage.name] = time.monotonic() - start
        work.progress.say(f"{stage.name} {ran[stage.name]:.1f} s")
    return ran


def _needed(found: tuple[pipeline.Stage, ...], known: Mapping[str, str], store: Store) -> set[str]:
    """From the end backwards: a stage whose output is there needs none of its inputs."""
    needed: set[str] = set()
    wanted = {found[-1].name}
    for stage in reversed(found):
        if stage.name in wanted and not store.path(stage.name, known[stage.name]).is_dir():
            needed.add(stage.name)
            wanted.update(stage.inputs)
    return needed


def _metrics(packed: Path) -> dict[str, Any]:
    import json

    manifest = json.loads((packed / MANIFEST).read_bytes())
    found: dict[str, Any] = manifest["metrics"]
    return found


def refuse_output(output: Path, plan: Plan) -> None:
    """Raises Refused E0501 where the output folder holds anything but an earlier bundle of this name."""
    import json

    if output.is_symlink() or (output.exists() and not output.is_dir()):
        raise refuse("E0501", f"`{output}` is not a folder", help="choose another place with -o")
    if not output.exists() or not any(output.iterdir()):
        return
    try:
        name = json.loads((output / MANIFEST).read_bytes())["name"]
    except (OSError, ValueError, KeyError, TypeError):
        raise refuse(
            "E0501",
            f"`{output}` holds something else",
            f"it has {len(list(output.iterdir()))} entries and is no bundle",
            help="choose another place with -o, or empty it",
        ) from None
    if name != plan.name:
        raise refuse(
            "E0501",
            f"`{output}` holds another bundle",
            f"that one is `{name}`, this one `{plan.name}`",
            help="choose another place with -o",
        )


def deliver(packed: Path, output: Path) -> None:
    """Copies a packed bundle to where the user wants it, in one visible step."""
    if _is_same(packed, output):
        return
    output.parent.mkdir(parents=True, exist_ok=True)
    staging = output.parent / f".{output.name}.partial"
    retired = output.parent / f".{output.name}.retired"
    for leftover in (staging, retired):
        shutil.rmtree(leftover, ignore_errors=True)
    shutil.copytree(packed, staging)
    if output.exists():
        os.rename(output, retired)
    publish(staging, output)
    shutil.rmtree(retired, ignore_errors=True)


def _is_same(packed: Path, output: Path) -> bool:
    mine, theirs = packed / MANIFEST, output / MANIFEST
    if not theirs.is_file() or mine.read_bytes() != theirs.read_bytes():
        return False
    files = [p.relative_to(packed) for p in packed.rglob("*") if p.is_file()]
    return all((output / f).is_file() and (output / f).stat().st_size == (packed / f).stat().st_size for f in files)
