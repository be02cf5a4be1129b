"""Executes a plan: runs the stages that the store lacks, and delivers the bundle."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from ...runtime.manifest import NAME
from .. import variants
from ..boundary import OPEN, Boundary
from ..bundling.delivery import deliver, refuse_output
from ..bundling.manifest import licence
from ..diagnostics import At, Diagnostic, Status, refuse
from ..facts.backbone import ASSETS, gather_backbone
from ..health import Finding
from ..interrupts import heed
from ..locking.pins import refuse_drift
from ..machine import Machine, describe, require_build, return_memory, share_cores
from ..planning import fits
from ..planning.plan import Plan
from ..store.hashes import combined, file_sha256
from ..store.store import ABSENT, Store
from . import pipeline, records, steps
from .prepared import rows_in
from .progress import Progress
from .reproducible import settled
from .work import Work

TIMES = "milliseconds.json"  # milliseconds of a row by precision; times are kept out of bundles


@dataclass(frozen=True)
class Built:
    """A finished build: its bundle, the stages that ran and how many seconds each took."""

    folder: Path
    plan: Plan
    ran: dict[str, float]
    metrics: dict[str, Any]
    warnings: tuple[Diagnostic, ...] = ()
    floors: dict[str, Any] = field(default_factory=dict)  # from the manifest: scores by split and floor
    quantization: dict[str, Any] = field(default_factory=dict)  # in the form of the manifest
    milliseconds: dict[str, float] = field(default_factory=dict)  # per row, by precision
    training: dict[str, Any] = field(default_factory=dict)  # in the form of the manifest
    findings: tuple[Finding, ...] = ()  # findings about the training


def execute(
    plan: Plan,
    root: Path,
    output: Path,
    store: Store,
    progress: Progress,
    boundary: Boundary = OPEN,
) -> Built:
    """Runs missing stages and writes the bundle to `output`; a second call runs nothing.

    The plan must be current: a plan from a file is planned again first. Raises Refused E0405 where the backbone changed
    since planning, and E0353 where it lies outside of `boundary`.
    """
    root = root.absolute()
    plan = Plan.model_validate_json(plan.text())  # canonical order of keys, whether from a spec or a file
    backbone = gather_backbone(plan.backbone.source, root, weights=True, boundary=boundary, memory=store.digests)
    if backbone.config_sha256 != plan.backbone.config_sha256 or backbone.header.sha256 != plan.backbone.header_sha256:
        raise refuse(
            "E0405", "the backbone changed since it was planned", at=At(("backbone", "from")), help="plan again"
        )
    refuse_drift(plan, backbone, store.digests)
    plan = plan.model_copy(update={"pins": None})  # checked above; they make no difference to the bundle
    folder, machine = backbone.located.folder.absolute(), describe()
    _refuse_precision(plan, machine)
    found = stages_of(plan, folder, store)
    known = pipeline.keys(found, machine)
    packed = store.path("pack", known["pack"])
    refuse_output(output, plan.name, None if store.flaws("pack", known["pack"]) else packed, store.digests)
    with store.using(known.items()):
        ran = run_stages(found, known, Work(plan, root, folder, machine, {}, Path(), progress), store)
        deliver(packed, output, store)
        manifest = json.loads((packed / NAME).read_bytes())
    findings = tuple(map(Finding.read, manifest["findings"]))
    return Built(
        output,
        plan,
        ran,
        manifest["metrics"],
        floors=manifest.get("floors", {}),
        findings=findings,
        quantization=manifest.get("quantization", {}),
        milliseconds=_milliseconds(store, known),
        training=manifest["training"],
    )


def _milliseconds(store: Store, known: Mapping[str, str]) -> dict[str, float]:
    """Milliseconds of a row, as measured by the stage `verify`; empty where its folder is damaged."""
    path = store.path("verify", known["verify"]) / TIMES
    if store.flaws("verify", known["verify"]):
        return {}
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return {word: took for word, took in found.items() if type(took) in (int, float)} if isinstance(found, dict) else {}


def stages_of(plan: Plan, folder: Path, store: Store) -> tuple[pipeline.Stage, ...]:
    """The stages of a plan whose backbone lies in `folder`."""
    assets = [name for name in ASSETS if (folder / name).is_file()]
    return steps.stages(
        plan,
        combined(file_sha256(folder / name, store.digests) for name in plan.backbone.files),
        records.assets_sha256({name: file_sha256(folder / name, store.digests) for name in assets}),
        licence(folder),
    )


def _refuse_precision(plan: Plan, machine: Machine) -> None:
    if plan.train.precision == "fp16" and machine.device == "cpu":
        raise refuse(
            "E0411",
            "fp16 training needs a GPU",
            "this machine has none, or GRAFTC_DEVICE hides it",
            at=At(("train", "precision")),
            help="use `train.precision: bf16` or `fp32`",
            status=Status.MACHINE,
        )


def run_stages(
    found: tuple[pipeline.Stage, ...], known: Mapping[str, str], work: Work, store: Store
) -> dict[str, float]:
    """Runs the stages that are needed and missing; returns seconds by stage."""
    needed = pipeline.needed(found, lambda stage: _is_kept(stage.name, known[stage.name], store, work.progress))
    if store.tightened:
        work.progress.say(f"others could write to {store.tightened} of the store's files and folders; now they can't")
        store.tightened = 0
    if needed:
        require_build()
        share_cores()
    ran: dict[str, float] = {}
    for stage in found:
        if stage.name in needed:
            heed()
            _run_stage(stage, known, work, store, ran)
    return ran


def _is_kept(stage: str, key: str, store: Store, progress: Progress) -> bool:
    """Whether the store has an undamaged output; a damaged one is made again."""
    flaws = store.flaws(stage, key)
    if flaws and flaws != [ABSENT]:
        progress.say(f"{stage}: what the store holds is not as it was written, and is made again ({flaws[0]})")
    return not flaws


def _run_stage(
    stage: pipeline.Stage, known: Mapping[str, str], work: Work, store: Store, ran: dict[str, float]
) -> None:
    inputs = {name: store.path(name, known[name]) for name in stage.inputs}
    alike = pipeline.content_key(stage, known, work.machine, lambda name: rows_in(store.files(name, known[name])))

    def fill(out: Path) -> None:
        start = time.monotonic()
        work.progress.say(f"{stage.name} …")
        if alike and (other := store.take(alike, out)):
            ran[stage.name] = time.monotonic() - start
            work.progress.say(f"{stage.name} {ran[stage.name]:.1f} s, as {other} made it")
            return
        backbone = store.path(stage.below, known[stage.below]) if stage.below else work.backbone
        given = replace(work, inputs=inputs, out=out, split=stage.split, name=stage.task, phase=stage.phase)
        _compute(stage, replace(given, plan=_phase(stage, work.plan), backbone=backbone, origin=work.backbone))
        ran[stage.name] = time.monotonic() - start
        work.progress.say(f"{stage.name} {ran[stage.name]:.1f} s")

    def waits() -> None:
        work.progress.say(f"{stage.name}: waiting for another build that makes the same")

    made = {"plan": work.plan.name, **pipeline.made_of(stage, known, work.machine)}
    # held until the output is in place, because another build with other keys may link it
    with store.lock(f"alike-{alike}", waits) if alike else nullcontext():
        store.make(stage.name, known[stage.name], fill, stage.resumes, waits, made)
        if alike:
            # also for a linked output, because the other may be deleted
            store.offer(alike, stage.name, known[stage.name])


def _compute(stage: pipeline.Stage, work: Work) -> None:
    with settled(
        work.plan.seed, work.machine.threads, "torch" in stage.libraries
    ):  # seeded for each stage, because a resumed build skips stages
        variants.stage(stage.module).run(work)
    if stage.is_numeric:
        return_memory()


def _phase(stage: pipeline.Stage, plan: Plan) -> Plan:
    """The part of a plan that a stage sees: the whole plan, or the phase that the stage belongs to."""
    if not stage.phase:
        return cast(Plan, fits.of_heads(plan)) if stage.is_fit else plan
    if stage.phase == "retain":
        return cast(Plan, plan.retain)
    phase = plan.pretrain[int(stage.phase.rpartition("-")[2]) - 1]
    return cast(Plan, fits.of_stage(phase) if stage.is_fit else phase)
