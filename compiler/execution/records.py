"""What each stage's output depends on, of the plan and of the backbone's files: the records of stages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ..planning.floors import untouched
from ..planning.plan import Phase, Plan, PretrainPlan, SplitPlan, TaskPlan
from ..store.hashes import combined, file_sha256

PACKAGE = Path(__file__).resolve().parents[2]
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

    def of_phase(self, phase: PretrainPlan) -> Json:
        """What the network of a self-supervised phase depends on."""
        whole = phase.model_dump(mode="json", exclude={"backbone": {"source"}})
        return {key: whole[key] for key in ("method", "seed")} | {
            "tasks": [_without_paths(task) for task in whole["tasks"]],
            "backbone": {**whole["backbone"], "weights": self.weights},
            "assets": self.assets,
        }

    def of_floor(self, task: TaskPlan) -> Json:
        """What the floors of a task depend on: its head, and the untouched backbone where it is asked; on no training."""
        whole, asked = task.model_dump(mode="json"), untouched(self.plan, task)
        data = {"columns": whole["data"]["columns"]}
        head = {key: whole["head"][key] for key in ("type", "pooling", "record")}
        record: Json = {"tasks": {task.name: {"head": head, "data": data}}}
        if asked:
            data["preprocessing"] = whole["data"]["preprocessing"]
            kept = {name: self.frozen[name] for name in ("family", "config_sha256", "header_sha256", "weights")}
            record |= {"backbone": kept, "untouched": asked}
        return record

    @property
    def of_training(self) -> Json:
        """What the supervised training depends on."""
        tasks = self.tasks("inputs", "preprocessing", "augment")
        for task in self.whole["tasks"]:
            tasks[task["name"]] |= {key: task[key] for key in ("weight", "metric", "adapt")}
        return {**self.model, "tasks": tasks, "train": self.whole["train"]}


def assets_sha256(hashes: Mapping[str, str]) -> str:
    """One hash of the backbone's files that `facts.backbone.ASSETS` names, from the hash of each that there is."""
    return combined(f"{name} {hashes[name]}" for name in sorted(hashes))


def of_rows(plan: Phase, task: TaskPlan, split: SplitPlan, assets_sha256: str) -> Json:
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


def of_features(plan: Phase, task: TaskPlan, split: str, frozen: Json) -> Json:
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


def of_fit(phase: Phase) -> Json:
    """What heads that are fitted depend on besides their features."""
    heads = {
        task.name: {"head": {key: task.head.model_dump(mode="json")[key] for key in ("type", "record")}}
        for task in phase.tasks
    }
    return {"tasks": heads, "seed": phase.seed, "train": {"is_followed": phase.train.steps > 0}}


def _without_paths(task: Json) -> Json:
    """A task without where its rows lie and how many they are: the stages that prepare them know."""
    return {**task, "data": {key: task["data"][key] for key in ("inputs", "preprocessing")}}


def runtime_sha256() -> str:
    """A hash of what a bundle copies from this package."""
    files = [*(PACKAGE / "runtime").rglob("*.py"), *(PACKAGE / "templates").rglob("*.j2")]
    return combined(f"{path.relative_to(PACKAGE).as_posix()} {file_sha256(path)}" for path in sorted(files))
