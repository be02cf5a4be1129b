"""Which stages a plan needs, in order: one function a step, each with all that its output depends on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from .. import variants
from ..planning import fits
from ..planning.floors import SCORED, has_floor, untouched, vectors
from ..planning.plan import Phase, Plan, PretrainPlan, SplitPlan, TaskPlan
from ..planning.portable import base, portable
from ..store.hashes import combined, file_sha256
from .pipeline import Stage
from .work import FIT, stage_name

PACKAGE = Path(__file__).resolve().parents[2]
TORCH = ("torch", "transformers", "safetensors", "numpy")
FLOOR = ("scikit-learn", "numpy", "torch", "transformers")
TRAINING = (*TORCH, "peft", "accelerate", "kornia")
LEARNED_FROM = ("train", "validation")  # splits
Json = dict[str, Any]


@dataclass(frozen=True)
class Planned:
    """A plan with the hashes of the backbone's files: its weights, and those that `facts.backbone.ASSETS` names."""

    plan: Plan
    weights: str
    assets: str
    licence: str

    @cached_property
    def whole(self) -> Json:
        """The plan as JSON values; where the backbone was found changes no result, and the checkpoint alone tells it."""
        found = self.plan.model_dump(mode="json", exclude={"estimates", "pretrain", "retain"})
        found["backbone"].pop("source")
        return found

    @cached_property
    def backbone(self) -> Json:
        """The backbone with the hash of its weights."""
        return {**self.whole["backbone"], "weights": self.weights}

    @cached_property
    def frozen(self) -> Json:
        """What its frozen layers give depends on."""
        names = ("family", "config_sha256", "header_sha256", "weights")
        return {**{name: self.backbone[name] for name in names}, "assets": self.assets}

    @cached_property
    def model(self) -> Json:
        """What the network depends on, but for its tasks."""
        return {
            "backbone": self.backbone,
            "method": self.whole["method"],
            "seed": self.plan.seed,
            "assets": self.assets,
        }

    @cached_property
    def graph(self) -> Json:
        """What a graph depends on besides the network."""
        export = {key: self.whole["export"][key] for key in ("exporter", "opset", "optimize", "graphs", "parity")}
        return {"export": export, **({"adapters": self.whole["adapters"]} if self.plan.adapters else {})}

    def tasks(self, *keys: str) -> Json:
        """The tasks by name: their heads, and some keys of their data."""
        return {
            task["name"]: {"head": task["head"], "data": {key: task["data"][key] for key in keys}}
            for task in self.whole["tasks"]
        }

    @property
    def below(self) -> str:
        """The stage that made the backbone, empty where it is the one that the spec names."""
        return f"pretrain-{len(self.plan.pretrain)}-merge" if self.plan.pretrain else ""

    @property
    def made(self) -> tuple[str, ...]:
        """That stage, as the input of others."""
        return (self.below,) if self.below else ()

    @property
    def is_quantised(self) -> bool:
        """Whether there is a graph in int8."""
        return "int8" in self.plan.export.precision


def assets_sha256(hashes: Mapping[str, str]) -> str:
    """One hash of the backbone's files that `facts.backbone.ASSETS` names, from the hash of each that there is."""
    return combined(f"{name} {hashes[name]}" for name in sorted(hashes))


def stages(plan: Plan, weights_sha256: str, assets_sha256: str = "", licence: str = "") -> tuple[Stage, ...]:
    """The stages of a plan in an order in which each finds its inputs done.

    The hashes and the licence are of the backbone's files: its weights, and those that `facts.backbone.ASSETS` names.
    """
    planned = Planned(plan, weights_sha256, assets_sha256, licence)
    return tuple(stage for step in STEPS for stage in step(planned))


def _prepare(planned: Planned) -> Iterator[Stage]:
    """Rows become arrays, for every split by itself."""
    for task in planned.plan.tasks:
        for split in task.data.splits:
            yield _prepared_rows(planned.plan, task, split, planned.assets, format=7)


def _rehearse(planned: Planned) -> Iterator[Stage]:
    """The untrained network is exported and checked: what can't be exported fails in the first minute."""
    tasks = planned.tasks("inputs", "preprocessing")
    yield Stage(
        module="rehearse",
        format=1,
        record={**planned.model, "tasks": tasks, **planned.graph},
        inputs=(),
        libraries=(*TORCH, "peft", "onnx", "onnxruntime"),
    )


def _pretrain(planned: Planned) -> Iterator[Stage]:
    """Self-supervised phases, each from what the one before it made of the backbone."""
    below = ""
    for number, phase in enumerate(planned.plan.pretrain, 1):
        yield from _phase(planned, phase, f"pretrain-{number}", below)
        below = f"pretrain-{number}-merge"


def _phase(planned: Planned, phase: PretrainPlan, name: str, below: str) -> Iterator[Stage]:
    """A self-supervised phase: its rows, a head that the checkpoint lacks, the training, and what it made."""
    made = (below,) if below else ("rehearse",)  # which fails in the first minute
    whole = phase.model_dump(mode="json", exclude={"backbone": {"source"}})
    model = {key: whole[key] for key in ("method", "seed")} | {
        "tasks": [_without_paths(task) for task in whole["tasks"]],
        "backbone": {**whole["backbone"], "weights": planned.weights},
        "assets": planned.assets,
    }
    own = "" if phase.reads_head else name  # whose rows it reads
    if not phase.reads_head:
        yield from _phase_rows(phase, name, planned.assets)
    rows, scored = (_prepared(phase.tasks, splits, own) for splits in (LEARNED_FROM, SCORED))
    if phase.fit:
        yield Stage(
            module="train",
            format=7,
            record={**model, "method": "probe", "train": whole["fit"]},
            inputs=(*rows, *made),
            libraries=TRAINING,
            resumes=True,
            phase=name,
            is_fit=True,
            below=below,
        )
    fitted = (f"{name}-head",) if phase.fit else ()
    yield Stage(
        module="train",
        format=7,
        record={**model, "train": whole["train"]},
        inputs=(*rows, *fitted, *made),
        libraries=TRAINING,
        resumes=True,
        phase=name,
        below=below,
    )
    yield Stage(
        module="merge",
        format=5,
        record={"language_model": phase.language_model},
        inputs=(name, *fitted, *scored, *made),
        libraries=(*TORCH, "peft"),
        phase=name,
        below=below,
    )


def _fold(planned: Planned) -> Iterator[Stage]:
    """What frozen layers hand on, once, for every split by itself."""
    if planned.plan.train.fold == "none":
        return
    for task in planned.plan.tasks:
        for split in task.data.splits:
            yield _folded(planned, planned.plan, task, split.name)


def _folded(planned: Planned, phase: Phase, task: TaskPlan, split: str, is_fit: bool = False) -> Stage:
    rows = _prepared([task], [split])
    return Stage(
        module="fold",
        format=9,
        record=_folds(phase, task, split, planned.frozen),
        inputs=(*rows, *planned.made),
        libraries=TORCH,
        task=task.name,
        split=split,
        resumes=True,
        is_fit=is_fit,
        below=planned.below,
        rows_of=rows,
    )


def _fit(planned: Planned) -> Iterator[Stage]:
    """Heads are fitted before the first step, to the features of training rows, where no other stage has them."""
    plan = planned.plan
    if not plan.fitted:
        return
    phase = fits.of_heads(plan)
    features = [stage_name("fold", task.name, "train") for task in phase.tasks]
    if plan.train.fold != "feature" or plan.train.fold_views > 1 or plan.train.fold_precision != "fp32":
        own = [_folded(planned, phase, task, "train", is_fit=True) for task in phase.tasks]
        yield from own
        features = [stage.name for stage in own]
    heads = {
        task.name: {"head": {key: task.head.model_dump(mode="json")[key] for key in ("type", "record")}}
        for task in phase.tasks
    }
    yield Stage(
        module=FIT,
        format=2,
        record={"tasks": heads, "seed": plan.seed, "train": {"is_followed": plan.train.steps > 0}},
        inputs=(*_prepared(phase.tasks, ["train"]), *features),
        libraries=("torch", "numpy", "safetensors"),
    )


def _floor(planned: Planned) -> Iterator[Stage]:
    """What costs nothing, scored on the rows that the trained network is scored on."""
    for task in planned.plan.tasks:
        if has_floor(task):
            yield _task_floor(planned, task)


def _task_floor(planned: Planned, task: TaskPlan) -> Stage:
    """A task's floors depend on its rows and its head, on the untouched backbone where it is asked, and on no training."""
    whole, asked = task.model_dump(mode="json"), untouched(planned.plan, task)
    data = {"columns": whole["data"]["columns"]}
    head = {key: whole["head"][key] for key in ("type", "pooling", "record")}
    record: Json = {"tasks": {task.name: {"head": head, "data": data}}}
    if asked:
        data["preprocessing"] = whole["data"]["preprocessing"]
        kept = {name: planned.frozen[name] for name in ("family", "config_sha256", "header_sha256", "weights")}
        record |= {"backbone": kept, "untouched": asked}
    inputs = _prepared([task], ("train", *SCORED))
    has_kept = planned.plan.train.fold == "feature" and vectors(task) == "kept"
    folded = tuple(name.replace("prepare", "fold", 1) for name in inputs) if has_kept else ()
    return Stage(module="floor", format=2, record=record, inputs=(*inputs, *folded), libraries=FLOOR, task=task.name)


def _train(planned: Planned) -> Iterator[Stage]:
    """The supervised training."""
    tasks, whole = planned.tasks("inputs", "preprocessing", "augment"), planned.whole
    for task in whole["tasks"]:
        tasks[task["name"]] |= {key: task[key] for key in ("weight", "metric", "adapt")}
    fitted = (FIT,) if planned.plan.fitted else ()
    yield Stage(
        module="train",
        format=10,
        record={**planned.model, "tasks": tasks, "train": whole["train"]},
        inputs=(*_read(planned.plan, LEARNED_FROM), *fitted, "rehearse", *planned.made),
        libraries=TRAINING,
        resumes=True,
        below=planned.below,
    )


def _evaluate(planned: Planned) -> Iterator[Stage]:
    """The trained network is scored, and validation decides what is left to decide."""
    yield Stage(
        module="evaluate",
        format=7,
        record={},
        inputs=("train", *_read(planned.plan, SCORED), *planned.made),
        libraries=TORCH,
        below=planned.below,
    )


def _health(planned: Planned) -> Iterator[Stage]:
    """What is worth a look in the training."""
    rows = _prepared(planned.plan.tasks, ("validation",))
    yield Stage(
        module="health",
        format=2,
        record={},
        inputs=("train", "evaluate", *rows, *_floors(planned.plan)),
        libraries=TORCH,
    )


def _export(planned: Planned) -> Iterator[Stage]:
    """Graphs in fp32, held against the network."""
    seen = (stage_name("prepare", task.name, task.gated) for task in planned.plan.tasks)
    yield Stage(
        module="export",
        format=3,
        record=planned.graph,
        inputs=("train", *seen, *planned.made),
        libraries=(*TORCH, "peft", "onnx", "onnxruntime"),
        below=planned.below,
    )


def _quantize(planned: Planned) -> Iterator[Stage]:
    """int8 of the first kind, from training rows where its scales are fixed."""
    if not planned.is_quantised:
        return
    quantization = planned.plan.export.quantization
    assert quantization is not None
    record: Json = {"export": {"quantization": {"kinds": quantization.kinds[:1]}}}
    needs_rows = variants.quantization(quantization.kinds[0]).needs_rows
    rows = _calibrating(planned.plan) if needs_rows else ()
    if rows:
        record["export"]["quantization"]["samples"] = quantization.samples
        record["seed"] = planned.plan.seed
    yield Stage(
        module="quantize",
        format=2,
        record=record,
        inputs=("export", *rows),
        libraries=("onnx", "onnxruntime", *planned.plan.reading.variant.packages, "numpy"),
    )


def _checkpoint(planned: Planned) -> Iterator[Stage]:
    """The trained network in Hugging Face form."""
    yield Stage(
        module="checkpoint",
        format=3,
        record={"backbone": {"source": base(planned.plan.backbone.source)}},
        inputs=("train", *planned.made),
        libraries=(*TORCH, "peft"),
        below=planned.below,
    )


def _retain(planned: Planned) -> Iterator[Stage]:
    """The backbone's own pretrained objective, measured before all training and after."""
    phase = planned.plan.retain
    if phase is None:
        return
    yield from _phase_rows(phase, "retain", planned.assets)
    yield Stage(
        module="retain",
        format=4,
        record={"weights": planned.weights},
        inputs=(*_prepared(phase.tasks, ("test",), "retain"), "train", *planned.made),
        libraries=(*TORCH, "peft"),
        below=planned.below,
    )


def _verify(planned: Planned) -> Iterator[Stage]:
    """The graphs are asked what the network was asked."""
    gated = ("parity", "metric_drop", "precision", "quantization", "samples", "samples_sha256")
    int8 = ("quantize",) if planned.is_quantised else ()
    rows = _prepared(planned.plan.tasks, SCORED)
    yield Stage(
        module="verify",
        format=12,
        record={"export": {key: planned.whole["export"][key] for key in gated}},
        inputs=("export", "evaluate", *rows, *int8, *_calibrating(planned.plan)),
        libraries=("onnx", "onnxruntime", *planned.plan.reading.variant.packages, "numpy"),
    )


def _pack(planned: Planned) -> Iterator[Stage]:
    """The bundle, from all that has been made for it."""
    plan = planned.plan
    merged = (f"pretrain-{number}-merge" for number in range(1, len(plan.pretrain) + 1))
    made = (*_floors(plan), "export", "train", *(("quantize",) if planned.is_quantised else ()), *merged)
    yield Stage(
        module="pack",
        format=12,
        record={"plan": portable(plan).sha256, "licence": planned.licence, "runtime": _runtime()},
        inputs=("verify", "checkpoint", "evaluate", "health", *made, *(("retain",) if plan.retain else ())),
        libraries=("graftc", "jinja2", "onnxruntime", "numpy", *plan.reading.variant.packages),
    )


Step = Callable[[Planned], Iterator[Stage]]
STEPS: tuple[Step, ...] = (
    _prepare,
    _rehearse,
    _pretrain,
    _fold,
    _fit,
    _floor,
    _train,
    _evaluate,
    _health,
    _export,
    _quantize,
    _checkpoint,
    _retain,
    _verify,
    _pack,
)


def _phase_rows(phase: Phase, name: str, assets: str) -> Iterator[Stage]:
    """The rows of a phase that has data of its own."""
    for task in phase.tasks:
        for split in task.data.splits:
            yield _prepared_rows(phase, task, split, assets, format=5, name=name)


def _prepared_rows(
    phase: Phase, task: TaskPlan, split: SplitPlan, assets: str, *, format: int, name: str = ""
) -> Stage:
    return Stage(
        module="prepare",
        format=format,
        record=_rows(phase, task, split, assets),
        inputs=(),
        libraries=("numpy", *task.data.variant.packages),
        task=task.name,
        split=split.name,
        is_numeric=False,
        phase=name,
    )


def _without_paths(task: Json) -> Json:
    """A task without where its rows lie and how many they are: the stages that prepare them know."""
    return {**task, "data": {key: task["data"][key] for key in ("inputs", "preprocessing")}}


def _rows(plan: Phase, task: TaskPlan, split: SplitPlan, assets_sha256: str) -> Json:
    """What the arrays of a split depend on: its rows wherever they lie, how they are read, and what the head aims at."""
    whole = task.model_dump(mode="json")
    record = whole["head"]["record"]
    aimed = record if task.head.variant.targets_from is None else task.head.variant.targets_from
    splits: Json = {split.name: {"tables": [table.model_dump(exclude={"path"}) for table in split.tables]}}
    validation = task.split("validation")
    is_drawn = validation is not None and validation.held_out is not None and split.name in LEARNED_FROM
    if validation and is_drawn:
        splits.setdefault("validation", {})["held_out"] = validation.held_out
    data = {"splits": splits, **{key: whole["data"][key] for key in ("columns", "modality", "preprocessing")}}
    head = {"type": task.head.type, "record": {name: record[name] for name in aimed if name in record}}
    beside = {name: {"data": _beside(plan.task(name))} for name in plan.together(task.name) if name != task.name}
    return {
        "tasks": {**beside, task.name: {"data": data, "head": head}},
        "seed": plan.seed if is_drawn else None,
        "assets": assets_sha256,
    }


def _beside(task: TaskPlan) -> Json:
    """What tells which rows another task learns from."""
    train = task.split("train")
    skipped = [table.skipped for table in train.tables] if train else []
    return {"columns": task.data.columns.plain()} | ({"skipped": skipped} if any(skipped) else {})


def _folds(plan: Phase, task: TaskPlan, split: str, frozen: Json) -> Json:
    """What frozen work gives depends on this, besides the rows: not on what becomes of the layers above it."""
    train = plan.train
    sees: dict[str, Json] = {
        "data": {"inputs": list(task.data.inputs), "preprocessing": task.data.preprocessing.plain()}
    }  # of which a part is done as rows are collated: their arrays don't tell it
    if train.fold == "feature":
        sees["head"] = {"pooling": task.head.pooling}
    works: Json = {"fold": train.fold, "fold_precision": train.fold_precision}
    record: Json = {"backbone": frozen, "tasks": {task.name: sees}, "train": works}
    if split == "train" and task.data.augment:
        sees["data"]["augment"], works["fold_views"] = task.data.augment.plain(), train.fold_views
        record["seed"] = plan.seed
    return record


def _prepared(tasks: Iterable[TaskPlan], splits: Iterable[str], phase: str = "") -> tuple[str, ...]:
    """The stages that hold the rows of splits, as far as tasks have these."""
    return tuple(
        stage_name("prepare", task.name, split, phase) for split in splits for task in tasks if task.split(split)
    )


def _read(plan: Plan, splits: Iterable[str]) -> tuple[str, ...]:
    """The stages that hold the rows of splits, and their features where these are cached."""
    prepared = _prepared(plan.tasks, splits)
    cached = tuple(name.replace("prepare", "fold", 1) for name in prepared if plan.train.fold != "none")
    return (*prepared, *cached)


def _floors(plan: Plan) -> tuple[str, ...]:
    return tuple(stage_name("floor", task.name) for task in plan.tasks if has_floor(task))


def _calibrating(plan: Plan) -> tuple[str, ...]:
    """The stages that hold the rows which fix scales."""
    planned = plan.export.quantization
    return _prepared(plan.teaching, ("train",)) if planned and planned.samples else ()


def _runtime() -> str:
    """A hash of what a bundle copies from this package."""
    files = [*(PACKAGE / "runtime").rglob("*.py"), *(PACKAGE / "templates").rglob("*.j2")]
    return combined(f"{path.relative_to(PACKAGE).as_posix()} {file_sha256(path)}" for path in sorted(files))
