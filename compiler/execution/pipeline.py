"""Which stages a plan needs, in order, and the key of each; no torch here."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import variants
from ..machine import Machine, versions
from ..planning import fits
from ..planning.floors import SCORED, has_floor, untouched, vectors
from ..planning.plan import Phase, Plan, SplitPlan, TaskPlan
from ..planning.portable import base, portable
from ..store.hashes import combined, digest, file_sha256
from .work import FIT, fitting, stage_name

PACKAGE = Path(__file__).resolve().parents[2]
TORCH = ("torch", "transformers", "safetensors", "numpy")
FLOOR = ("scikit-learn", "numpy", "torch", "transformers")
TRAINING = (*TORCH, "peft", "accelerate", "kornia")


@dataclass(frozen=True)
class Stage:
    """A unit of execution, which fills its folder; `record` is all of the plan that it depends on, under the plan's keys.

    `stages/<module>.py` runs it, once for each split of each task where there are these.
    """

    module: str
    format: int  # raised when the stage's code gives another output for the same record
    record: Mapping[str, Any]
    inputs: tuple[str, ...]  # names of stages
    libraries: tuple[str, ...]
    task: str = ""
    split: str = ""
    is_numeric: bool = True  # whether device and threads matter
    resumes: bool = False
    phase: str = ""  # of the plan: `pretrain-1` …, `retain`, empty for the supervised one
    is_fit: bool = False  # of a phase: its head alone
    below: str = ""  # the stage that made the backbone, empty for the one that the spec names
    rows_of: tuple[str, ...] = ()  # inputs of which it reads the arrays of rows alone, no targets

    @property
    def name(self) -> str:
        """`train`, `prepare-test` …: unlike that of every other stage of a plan."""
        name = stage_name(self.module, self.task, self.split, self.phase)
        return fitting(name) if self.is_fit else name


def assets_sha256(hashes: Mapping[str, str]) -> str:
    """One hash of the backbone's files that `world.backbone.ASSETS` names, from the hash of each that there is."""
    return combined(f"{name} {hashes[name]}" for name in sorted(hashes))


def stages(plan: Plan, weights_sha256: str, assets_sha256: str = "", licence: str = "") -> tuple[Stage, ...]:
    """The stages of a plan in an order in which each finds its inputs done.

    The hashes and the licence are of the backbone's files: its weights, and those that `world.backbone.ASSETS` names.
    """
    whole = plan.model_dump(mode="json", exclude={"estimates", "pretrain", "retain"})
    before, below = _pretraining(plan, weights_sha256, assets_sha256)
    made = (below,) if below else ()
    is_folded, is_quantised = plan.train.fold != "none", "int8" in plan.export.precision
    # where it was found changes no result; the checkpoint alone writes it down
    source, backbone = whole["backbone"].pop("source"), {**whole["backbone"], "weights": weights_sha256}
    train, export = whole["train"], whole["export"]
    tasks = {task["name"]: task for task in whole["tasks"]}
    model = {"backbone": backbone, "method": whole["method"], "seed": plan.seed, "assets": assets_sha256}
    reads, sees = (
        {name: {"head": task["head"], "data": {k: task["data"][k] for k in kept}} for name, task in tasks.items()}
        for kept in (("inputs", "preprocessing"), ("inputs", "preprocessing", "augment"))
    )
    learns_from = {
        name: {**sees[name], **{k: task[k] for k in ("weight", "metric", "adapt")}} for name, task in tasks.items()
    }
    fixed = {k: export[k] for k in ("exporter", "opset", "optimize", "graphs", "parity")}
    shape = {"export": fixed} | ({"adapters": whole["adapters"]} if plan.adapters else {})  # of the graph
    gates = {k: export[k] for k in ("parity", "metric_drop", "precision", "quantization", "samples", "samples_sha256")}
    learns, scores = ("train", "validation"), ("validation", "test")
    int8 = ("quantize",) if is_quantised else ()
    floors = tuple(stage_name("floor", task.name) for task in plan.tasks if has_floor(task))
    folds = [Stage("fold", 9, _folds(plan, task, split.name, {**backbone, "assets": assets_sha256}), (*_prepared([task], [split.name]), *made), TORCH, task.name, split.name, resumes=True, below=below, rows_of=_prepared([task], [split.name])) for task in plan.tasks for split in task.data.splits if is_folded]  # fmt: skip
    found = [
        *(Stage("prepare", 6, _rows(plan, task, split, assets_sha256), (), ("numpy", *task.data.variant.packages), task.name, split.name, is_numeric=False) for task in plan.tasks for split in task.data.splits),
        Stage("rehearse", 1, {**model, "tasks": reads, **shape}, (), (*TORCH, "peft", "onnx", "onnxruntime")),
        *before,
        *folds,
        *_fitting(plan, whole, {**backbone, "assets": assets_sha256}, below),
        *(_floor(plan, task, backbone) for task in plan.tasks if has_floor(task)),
        Stage("train", 10, {**model, "tasks": learns_from, "train": train}, (*_inputs(plan, learns), *((FIT,) if plan.fitted else ()), "rehearse", *made), TRAINING, resumes=True, below=below),
        Stage("evaluate", 7, {}, ("train", *_inputs(plan, scores), *made), TORCH, below=below),
        Stage("health", 2, {}, ("train", "evaluate", *_prepared(plan.tasks, ("validation",)), *floors), TORCH),
        Stage("export", 3, shape, ("train", *_seen(plan), *made), (*TORCH, "peft", "onnx", "onnxruntime"), below=below),
        _quantizing(plan) if is_quantised else None,
        Stage("checkpoint", 3, {"backbone": {"source": base(source)}}, ("train", *made), (*TORCH, "peft"), below=below),
        *_retaining(plan, weights_sha256, assets_sha256, below),
        Stage("verify", 12, {"export": gates}, ("export", "evaluate", *_prepared(plan.tasks, scores), *int8, *_calibrating(plan)), ("onnx", "onnxruntime", *plan.reading.variant.packages, "numpy")),
        _packing(plan, licence, (*floors, "export", "train", *int8, *(stage.name for stage in before if stage.module == "merge"))),
    ]  # fmt: skip
    return tuple(stage for stage in found if stage)


def _pretraining(plan: Plan, weights: str, assets: str) -> tuple[list[Stage], str]:
    """The stages of the self-supervised phases, each from what the one before it made, and the last one's name."""
    found: list[Stage] = []
    below = ""
    for number, phase in enumerate(plan.pretrain, 1):
        name, made = f"pretrain-{number}", (below,) if below else ("rehearse",)  # which fails in the first minute
        whole = phase.model_dump(mode="json", exclude={"backbone": {"source"}})
        model = {k: whole[k] for k in ("method", "seed", "tasks")} | {
            "backbone": {**whole["backbone"], "weights": weights}, "assets": assets,
        }  # fmt: skip
        _without_paths(model)
        own = "" if phase.reads_head else name  # whose rows it reads
        found += [] if phase.reads_head else _preparing(phase, name, assets)
        learns, scores = (
            _prepared(phase.tasks, splits, own) for splits in (("train", "validation"), ("validation", "test"))
        )
        fitted = (f"{name}-head",) if phase.fit else ()
        if phase.fit:
            found.append(Stage("train", 7, {**model, "method": "probe", "train": whole["fit"]}, (*learns, *made), TRAINING, resumes=True, phase=name, is_fit=True, below=below))  # fmt: skip
        found += [
            Stage("train", 7, {**model, "train": whole["train"]}, (*learns, *fitted, *made), TRAINING, resumes=True, phase=name, below=below),
            Stage("merge", 5, {"language_model": phase.language_model}, (name, *fitted, *scores, *made), (*TORCH, "peft"), phase=name, below=below),
        ]  # fmt: skip
        below = found[-1].name
    return found, below


def _fitting(plan: Plan, whole: Mapping[str, Any], backbone: Mapping[str, Any], below: str) -> list[Stage]:
    """The stages that fit heads before the first step: the features of training rows, where no other stage has them."""
    if not plan.fitted:
        return []
    phase, made = fits.of_heads(plan), (below,) if below else ()
    found: list[Stage] = []
    if plan.train.fold != "feature" or plan.train.fold_views > 1 or plan.train.fold_precision != "fp32":
        for task in phase.tasks:
            rows = _prepared([task], ["train"])
            found.append(
                Stage(
                    "fold",
                    9,
                    _folds(phase, task, "train", backbone),
                    (*rows, *made),
                    TORCH,
                    task.name,
                    "train",
                    resumes=True,
                    is_fit=True,
                    below=below,
                    rows_of=rows,
                )
            )
    folds = tuple(stage.name for stage in found) or tuple(stage_name("fold", t.name, "train") for t in phase.tasks)
    heads = {
        task.name: {"head": {k: task.head.model_dump(mode="json")[k] for k in ("type", "record")}}
        for task in phase.tasks
    }
    rows = _prepared(phase.tasks, ["train"])
    record = {"tasks": heads, "seed": plan.seed, "train": {"is_followed": plan.train.steps > 0}}
    return [*found, Stage(FIT, 2, record, (*rows, *folds), ("torch", "numpy", "safetensors"))]


def _quantizing(plan: Plan) -> Stage:
    """The stage that makes int8 of the first kind, from training rows where its scales are fixed."""
    planned = plan.export.quantization
    assert planned is not None
    rows = _calibrating(plan) if variants.quantization(planned.kinds[0]).needs_rows else ()
    record: dict[str, Any] = {"export": {"quantization": {"kinds": planned.kinds[:1]}}}
    if rows:
        record["export"]["quantization"]["samples"] = planned.samples
        record["seed"] = plan.seed
    return Stage(
        "quantize", 2, record, ("export", *rows), ("onnx", "onnxruntime", *plan.reading.variant.packages, "numpy")
    )


def _calibrating(plan: Plan) -> tuple[str, ...]:
    """The stages that hold the rows which fix scales."""
    planned = plan.export.quantization
    return _prepared(plan.teaching, ("train",)) if planned and planned.samples else ()


def _packing(plan: Plan, licence: str, made: tuple[str, ...]) -> Stage:
    """The stage that puts the bundle together, from all that has been `made` for it."""
    record = {"plan": portable(plan).sha256, "licence": licence, "runtime": _runtime()}
    inputs = ("verify", "checkpoint", "evaluate", "health", *made, *(("retain",) if plan.retain else ()))
    return Stage(
        "pack", 12, record, inputs, ("graftc", "jinja2", "onnxruntime", "numpy", *plan.reading.variant.packages)
    )


def _retaining(plan: Plan, weights: str, assets: str, below: str) -> list[Stage]:
    """The stages that measure the backbone's own pretrained objective."""
    if plan.retain is None:
        return []
    inputs = (*_prepared(plan.retain.tasks, ("test",), "retain"), "train", *((below,) if below else ()))
    measure = Stage("retain", 4, {"weights": weights}, inputs, (*TORCH, "peft"), below=below)
    return [*_preparing(plan.retain, "retain", assets), measure]


def _preparing(phase: Phase, name: str, assets: str) -> list[Stage]:
    return [
        Stage("prepare", 4, _rows(phase, task, split, assets), (), ("numpy", *task.data.variant.packages), task.name, split.name, is_numeric=False, phase=name)
        for task in phase.tasks for split in task.data.splits
    ]  # fmt: skip


def _without_paths(model: dict[str, Any]) -> None:
    """Takes out where rows lie and how many they are: the stages that prepare them know."""
    model["tasks"] = [
        {**task, "data": {k: task["data"][k] for k in ("inputs", "preprocessing")}} for task in model["tasks"]
    ]


def _rows(plan: Phase, task: TaskPlan, split: SplitPlan, assets_sha256: str) -> dict[str, Any]:
    """What the arrays of a split depend on: its rows wherever they lie, how they are read, and what the head aims at."""
    whole = task.model_dump(mode="json")
    record = whole["head"]["record"]
    aimed = record if task.head.variant.targets_from is None else task.head.variant.targets_from
    splits: dict[str, Any] = {split.name: {"tables": [table.model_dump(exclude={"path"}) for table in split.tables]}}
    validation = task.split("validation")
    is_drawn = validation is not None and validation.held_out is not None and split.name in ("train", "validation")
    if validation and is_drawn:
        splits.setdefault("validation", {})["held_out"] = validation.held_out
    beside = {name: _beside(plan.task(name)) for name in plan.together(task.name) if name != task.name}
    return {
        "tasks": {**{name: {"data": data} for name, data in beside.items()}, task.name: {
            "data": {"splits": splits, **{k: whole["data"][k] for k in ("columns", "modality", "preprocessing")}},
            "head": {"type": task.head.type, "record": {name: record[name] for name in aimed if name in record}},
        }},
        "seed": plan.seed if is_drawn else None,
        "assets": assets_sha256,
    }  # fmt: skip


def _beside(task: TaskPlan) -> dict[str, Any]:
    """What tells which rows another task learns from."""
    train = task.split("train")
    skipped = [table.skipped for table in train.tables] if train else []
    return {"columns": task.data.columns.plain()} | ({"skipped": skipped} if any(skipped) else {})


def _folds(plan: Phase, task: TaskPlan, split: str, backbone: Mapping[str, Any]) -> dict[str, Any]:
    """What frozen work gives depends on this, besides the rows: not on what becomes of the layers above it."""
    train = plan.train
    is_whole = train.fold == "feature"
    kept = {name: backbone[name] for name in ("family", "config_sha256", "header_sha256", "weights", "assets")}
    sees: dict[str, dict[str, Any]] = {
        "data": {"inputs": list(task.data.inputs), "preprocessing": task.data.preprocessing.plain()}
    }  # of which a part is done as rows are collated: their arrays don't tell it
    if is_whole:
        sees["head"] = {"pooling": task.head.pooling}
    works = {k: getattr(train, k) for k in ("fold", "fold_precision")}
    record: dict[str, Any] = {"backbone": kept, "tasks": {task.name: sees}, "train": works}
    if split == "train" and task.data.augment:
        sees["data"]["augment"], works["fold_views"] = task.data.augment.plain(), train.fold_views
        record["seed"] = plan.seed
    return record


def _floor(plan: Plan, task: TaskPlan, backbone: Mapping[str, Any]) -> Stage:
    """What a task's floors depend on: its rows and its head, the untouched backbone where it is asked, no training."""
    whole, asked = task.model_dump(mode="json"), untouched(plan, task)
    data = {"columns": whole["data"]["columns"]}
    head = {k: whole["head"][k] for k in ("type", "pooling", "record")}
    record: dict[str, Any] = {"tasks": {task.name: {"head": head, "data": data}}}
    if asked:
        data["preprocessing"] = whole["data"]["preprocessing"]
        kept = {name: backbone[name] for name in ("family", "config_sha256", "header_sha256", "weights")}
        record |= {"backbone": kept, "untouched": asked}
    inputs = _prepared([task], ("train", *SCORED))
    has_kept = plan.train.fold == "feature" and vectors(task) == "kept"
    folded = tuple(name.replace("prepare", "fold", 1) for name in inputs) if has_kept else ()
    return Stage("floor", 2, record, (*inputs, *folded), FLOOR, task.name)


def _prepared(tasks: Iterable[TaskPlan], splits: Iterable[str], phase: str = "") -> tuple[str, ...]:
    return tuple(
        stage_name("prepare", task.name, split, phase) for split in splits for task in tasks if task.split(split)
    )


def _seen(plan: Plan) -> tuple[str, ...]:
    """The stages that hold the rows on which a graph is compared."""
    return tuple(stage_name("prepare", task.name, task.gated) for task in plan.tasks)


def _inputs(plan: Plan, names: Iterable[str]) -> tuple[str, ...]:
    """The stages that hold the rows of splits, and their features where these are folded."""
    prepared = _prepared(plan.tasks, names)
    folded = tuple(name.replace("prepare", "fold", 1) for name in prepared if plan.train.fold != "none")
    return (*prepared, *folded)


def _runtime() -> str:
    """A hash of what a bundle copies from this package."""
    files = [*(PACKAGE / "runtime").rglob("*.py"), *(PACKAGE / "templates").rglob("*.j2")]
    return combined(f"{path.relative_to(PACKAGE).as_posix()} {file_sha256(path)}" for path in sorted(files))


LEARNS = re.compile(r"train|pretrain-\d+(-head)?")  # stages in which weights are learnt: the costly ones
# the rehearsal's outcome changes no other output, so its key stays out of theirs
SILENT = frozenset({"rehearse"})


def keys(found: tuple[Stage, ...], machine: Machine) -> dict[str, str]:
    """The key of every stage: equal keys mean equal outputs."""
    known: dict[str, str] = {}
    for stage in found:
        known[stage.name] = digest(made_of(stage, known, machine))
    return known


def made_of(stage: Stage, known: Mapping[str, str], machine: Machine) -> dict[str, Any]:
    """What the key of a stage is a hash of; `known` has the keys of its inputs."""
    return {
        "stage": stage.name, "format": stage.format, "record": stage.record,
        "inputs": {name: known[name] for name in stage.inputs if name not in SILENT},
        "versions": versions(stage.libraries),
        "machine": {"device": machine.device, "threads": machine.threads} if stage.is_numeric else {},
    }  # fmt: skip


def likeness(
    stage: Stage, known: Mapping[str, str], machine: Machine, arrays: Callable[[str], Mapping[str, Any]]
) -> str | None:
    """A hash that stages of one kind share where they give the same output, whatever their task, table and labels are.

    `arrays` has the hashes of the arrays that a finished stage holds of its rows. None where a key alone can tell.
    """
    read = [arrays(name) for name in stage.rows_of]
    if not read or not all(read):
        return None
    made = made_of(stage, known, machine)
    inputs = {name: key for name, key in made["inputs"].items() if name not in stage.rows_of}
    record = {**stage.record, "tasks": list(stage.record["tasks"].values())}  # whatever they are called
    return digest({**made, "stage": stage.module, "record": record, "inputs": inputs, "rows": read})


def needed(found: tuple[Stage, ...], is_done: Callable[[Stage], bool]) -> frozenset[str]:
    """From the end backwards: a stage whose output is there needs none of its inputs."""
    missing: set[str] = set()
    wanted = {found[-1].name}
    for stage in reversed(found):
        if stage.name in wanted and not is_done(stage):
            missing.add(stage.name)
            wanted.update(stage.inputs)
    return frozenset(missing)
