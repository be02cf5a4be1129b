"""Records of stages: the parts of a plan and of the backbone's files that each output depends on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ..planning.floors import untouched, untuned
from ..planning.plan import Phase, Plan, PretrainPlan, SplitPlan, TaskPlan
from ..store.hashes import combined, file_sha256

PACKAGE = Path(__file__).resolve().parents[2]
LEARNED_FROM = ("train", "validation")  # splits that training reads
Json = dict[str, Any]


@dataclass(frozen=True)
class Planned:
    """A plan with the hashes of the backbone's weights and of the files that `facts.backbone.ASSETS` names."""

    plan: Plan
    weights: str
    assets: str
    licence: str

    @cached_property
    def whole(self) -> Json:
        """The plan as JSON values, without the place of the backbone, which affects only the checkpoint."""
        found = self.plan.model_dump(mode="json", exclude={"estimates", "pretrain", "retain"})
        found["backbone"].pop("source")
        return found

    @cached_property
    def backbone(self) -> Json:
        """The backbone's part of the plan, with the hash of its weights."""
        return {**self.whole["backbone"], "weights": self.weights}

    @cached_property
    def frozen(self) -> Json:
        """The record of frozen layers' outputs."""
        names = ("family", "config_sha256", "header_sha256", "weights")
        return {**{name: self.backbone[name] for name in names}, "assets": self.assets}

    @cached_property
    def model(self) -> Json:
        """The record of the network, without its tasks."""
        return {
            "backbone": self.backbone,
            "method": self.whole["method"],
            "seed": self.plan.seed,
            "assets": self.assets,
        }

    @cached_property
    def graph(self) -> Json:
        """The record of a graph, besides the network."""
        whole = self.whole["export"]
        keys = ("exporter", "opset", "optimize", "attention", "graphs", "parity")
        export = {key: whole[key] for key in keys if key in whole}
        return {"export": export, **({"adapters": self.whole["adapters"]} if self.plan.adapters else {})}

    def tasks(self, *keys: str) -> Json:
        """The tasks by name: their heads, and some keys of their data."""
        return {
            task["name"]: {"head": task["head"], "data": {key: task["data"][key] for key in keys}}
            for task in self.whole["tasks"]
        }

    @property
    def below(self) -> str:
        """The stage that made the backbone; empty for the spec's backbone."""
        return f"pretrain-{len(self.plan.pretrain)}-merge" if self.plan.pretrain else ""

    @property
    def made(self) -> tuple[str, ...]:
        """That stage as a tuple of inputs."""
        return (self.below,) if self.below else ()

    @property
    def is_quantised(self) -> bool:
        """Whether the bundle has quantized graphs."""
        return bool(self.plan.export.quantized)

    def of_phase(self, phase: PretrainPlan) -> Json:
        """The record of the network of a self-supervised phase."""
        whole = phase.model_dump(mode="json", exclude={"backbone": {"source"}})
        return {key: whole[key] for key in ("method", "seed")} | {
            "tasks": [_without_paths(task) for task in whole["tasks"]],
            "backbone": {**whole["backbone"], "weights": self.weights},
            "assets": self.assets,
        }

    def of_floor(self, task: TaskPlan) -> Json:
        """The record of a task's floors: its head, and the untouched backbone where it runs."""
        whole, asked = task.model_dump(mode="json"), untouched(self.plan, task) or untuned(task)
        data = {"columns": whole["data"]["columns"]}
        head = {key: whole["head"][key] for key in ("type", "pooling", "record")}
        record: Json = {"tasks": {task.name: {"head": head, "data": data}}}
        if asked:
            data["preprocessing"] = whole["data"]["preprocessing"]
            kept = {name: self.frozen[name] for name in ("family", "config_sha256", "header_sha256", "weights")}
            record |= {"backbone": kept, "untouched": asked}
        if untuned(task):
            record |= {"samples": self.plan.export.samples, "assets": self.assets, "seed": self.plan.seed}
        return record

    def of_reference(self, task: TaskPlan) -> Json:
        """The record of a task's scores by the untouched backbone, besides the rows."""
        sees = {"inputs": list(task.data.inputs), "preprocessing": task.data.preprocessing.plain()}
        return {"backbone": self.frozen, "tasks": {task.name: {"data": sees, "head": {"type": task.head.type}}}}

    @property
    def of_training(self) -> Json:
        """The record of the supervised training."""
        tasks = self.tasks("inputs", "preprocessing", "augment")
        for task in self.whole["tasks"]:
            tasks[task["name"]] |= {key: task[key] for key in ("weight", "metric", "adapt")}
            tasks[task["name"]]["data"] |= {key: task["data"][key] for key in ("block",) if key in task["data"]}
        return {**self.model, "tasks": tasks, "train": self.whole["train"]}


def assets_sha256(hashes: Mapping[str, str]) -> str:
    """One hash of the backbone's files that `facts.backbone.ASSETS` names, from the hashes of those that exist."""
    return combined(f"{name} {hashes[name]}" for name in sorted(hashes))


def of_rows(plan: Phase, task: TaskPlan, split: SplitPlan, assets_sha256: str) -> Json:
    """The record of a split's arrays: tables without their paths, columns, preprocessing, and targets."""
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
    """The data that decides which rows another task learns from."""
    train = task.split("train")
    skipped = [table.skipped for table in train.tables] if train else []
    return {"columns": task.data.columns.plain()} | ({"skipped": skipped} if any(skipped) else {})


def of_features(plan: Phase, task: TaskPlan, split: str, frozen: Json) -> Json:
    """The record of cached features, besides the rows; independent of the layers above them."""
    train = plan.train
    # preprocessing is named because collation does a part of it, which row arrays do not show
    sees: dict[str, Json] = {
        "data": {"inputs": list(task.data.inputs), "preprocessing": task.data.preprocessing.plain()}
    }
    if train.fold == "feature":
        sees["head"] = {"pooling": task.head.pooling}
    works: Json = {"fold": train.fold, "fold_precision": train.fold_precision}
    record: Json = {"backbone": frozen, "tasks": {task.name: sees}, "train": works}
    if split == "train" and task.data.augment:
        sees["data"]["augment"], works["fold_views"] = task.data.augment.plain(), train.fold_views
        record["seed"] = plan.seed
    return record


def of_fit(phase: Phase) -> Json:
    """The record of fitted heads, besides their features."""
    heads = {
        task.name: {"head": {key: task.head.model_dump(mode="json")[key] for key in ("type", "record")}}
        for task in phase.tasks
    }
    return {"tasks": heads, "seed": phase.seed, "train": {"is_followed": phase.train.steps > 0}}


def _without_paths(task: Json) -> Json:
    """A task without paths and numbers of rows, which the inputs' keys cover."""
    return {**task, "data": {key: task["data"][key] for key in ("inputs", "preprocessing")}}


def runtime_sha256() -> str:
    """A hash of the runtime and the templates, which bundles copy."""
    files = [*(PACKAGE / "runtime").rglob("*.py"), *(PACKAGE / "templates").rglob("*.j2")]
    return combined(f"{path.relative_to(PACKAGE).as_posix()} {file_sha256(path)}" for path in sorted(files))
