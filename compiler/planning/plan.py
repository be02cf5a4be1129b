"""The Plan: every decision as pure data, with one canonical JSON form and one hash."""

from __future__ import annotations

import json
import math
import operator
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, ValidationError

from ...runtime.manifest import MODEL, modalities
from .. import variants
from ..contracts.backbone import Family
from ..contracts.head import Graph
from ..contracts.input import Input
from ..contracts.method import Method
from ..diagnostics import Refused, Row, quote, refuse
from ..files import whole
from ..frozen import SLUG, Frozen, Json, Texts
from ..store.hashes import canonical, digest
from .export import ExportPlan

if TYPE_CHECKING:
    from ..contracts.head import Head

FORMAT = 3  # the format of plans; a spec must be planned again where its plan has another format
FOLDS = r"^(feature|none|layers\[0:[1-9]\d{0,3}\])$"
NAMED = r"^([a-z][a-z0-9_]{0,31})?$"  # names of heads; empty for the only head
LARGEST = 64 << 20  # bytes of a plan file; the plan of a large backbone has a few MB


class TensorPlan(Frozen):
    """A tensor of the adapted backbone and its state in training.

    frozen: unchanged, in inference mode · held: unchanged, while an adapter learns around it · trained: learns · added:
    new and learns.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    state: Literal["frozen", "held", "trained", "added"]
    is_buffer: bool


class BackbonePlan(Frozen):
    """The pretrained network that training starts from, pinned by hashes."""

    source: str
    family: str  # a module of backbones/
    config_sha256: str
    header_sha256: str
    files: tuple[str, ...]
    width: int
    tensors: tuple[TensorPlan, ...]
    inference: tuple[str, ...]  # modules that run in inference mode while the rest trains
    is_frozen: bool  # no tensor of it learns
    dropout: float | None = None  # the rate of all its dropouts; None for the rates in config.json

    @property
    def variant(self) -> Family:
        """The record of the backbone's family."""
        return variants.family(self.family)


class TablePlan(Frozen):
    """A data file or folder, by its path in the spec."""

    path: str
    format: str
    split: str | None
    sha256: str
    # numbers of the rows that are left out, as `facts.bad_rows.ranges` writes them
    skipped: str = Field("", exclude_if=operator.not_)


class SplitPlan(Frozen):
    """The rows of a split; `held_out` is the share taken from the training rows, which then leave training."""

    name: str
    tables: tuple[TablePlan, ...]
    held_out: float | None
    rows: int
    left_out: Json = Field(Json({}), exclude_if=operator.not_)  # number of unusable rows by the kind of their fault


class DataPlan(Frozen):
    """Rows of each split, roles of columns, and preprocessing of inputs."""

    splits: tuple[SplitPlan, ...]
    columns: Json
    modality: str
    inputs: tuple[str, ...]  # names of the backbone's arguments
    preprocessing: Json
    augment: Json | None
    block: int = Field(0, exclude_if=operator.not_)  # most tokens of a block that training rows share; 0 for none

    @property
    def variant(self) -> Input[Any]:
        """The record of the modality of its inputs."""
        return variants.input(self.modality)

    @property
    def modalities(self) -> tuple[str, ...]:
        """The modalities that make up one input; the backbone reads the first."""
        return modalities(self.modality)

    @property
    def readings(self) -> Mapping[str, Mapping[str, Any]]:
        """The record of preprocessing of each modality, by its word."""
        if len(self.modalities) == 1:
            return {self.modality: self.preprocessing}
        found: Mapping[str, Mapping[str, Any]] = self.preprocessing["readings"]
        return found

    @property
    def arguments(self) -> Mapping[str, str]:
        """Argument of the backbone → name of the array that it takes."""
        if len(self.modalities) == 1:
            return {name: name for name in self.inputs}
        return {name: f"{self.modalities[0]}.{name}" for name in self.inputs}

    @property
    def arrays(self) -> tuple[str, ...]:
        """The inputs of the graph: the backbone's arrays, and all arrays of the other modalities."""
        own = tuple(self.arguments.values())
        if len(self.modalities) == 1:
            return own
        return (*own, *(name for name in self.variant.arrays if not name.startswith(f"{self.modalities[0]}.")))


class HeadPlan(Frozen):
    """A head, or the objective of a stage, on top of the backbone."""

    type: str
    pooling: str
    record: Json
    parameters: int
    is_frozen: bool = Field(False, exclude_if=operator.not_)  # its layers stay as the backbone's files have them
    start: Literal["fitted", "random"] = (
        "random"  # of its weights: fitted to the untouched backbone's features, or drawn
    )

    @property
    def variant(self) -> Head[Any, Any]:
        """The record of the head or objective."""
        return variants.top(self.type)

    @property
    def learned(self) -> int:
        """How many of its parameters learn."""
        return 0 if self.is_frozen else self.parameters


class TaskPlan(Frozen):
    """The task of one head; `name` is its key under `heads`, "" for `head`.

    All tasks read the same inputs, so their `data` agree in `modality`, `inputs`, `preprocessing` and `augment`.
    """

    name: str = Field(pattern=NAMED)
    head: HeadPlan
    data: DataPlan
    weight: float  # the weight of its loss, and of its metric in the mean that picks the best epoch
    metric: str  # "" where the head has no parameters
    adapt: Literal["shared", "own"]

    def split(self, name: str) -> SplitPlan | None:
        """The split of a name; None where the spec gives none."""
        return next((split for split in self.data.splits if split.name == name), None)

    @property
    def adapter(self) -> str:
        """The adapter that its inputs go through: its own name, or "" for the adapter that heads share."""
        return self.name if self.adapt == "own" else ""

    @property
    def gates_by(self) -> str:
        """The metric by which its precisions are gated; "" where the head has no parameters."""
        return self.metric and (self.head.variant.gated_by or self.metric)

    @property
    def gated(self) -> str:
        """The split on whose rows the graph is compared with the network."""
        return "validation" if self.split("validation") else "train"

    def named(self, word: str) -> str:
        """What an output or a score of this head is called among those of all heads.

        >>> TaskPlan.model_construct(name="intent").named("logits"), TaskPlan.model_construct(name="").named("logits")
        ('intent.logits', 'logits')
        """
        return f"{self.name}.{word}" if self.name else word

    def own(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The entries of this head among the outputs or scores of all heads, by its own words."""
        prefix = self.named("")
        return {name.removeprefix(prefix): value for name, value in values.items() if name.startswith(prefix)}

    @cached_property
    def graphs(self) -> Mapping[str, Graph]:
        """The graphs that its decoder runs, by its own words."""
        arrays = {name: self.data.variant.array(name, self.data.preprocessing) for name in self.data.arrays}
        given = Graph(inputs=arrays, outputs=self.outputs)
        return self.head.variant.graphs(self.head.record, given)

    @property
    def asks_again(self) -> bool:
        """Whether its decoder asks for more than one pass of `model`: other graphs, or passes from earlier states."""
        inputs = (each for graph in self.graphs.values() for each in graph.inputs.values())
        return len(self.graphs) > len(self.passes) or any("default" in each for each in inputs)

    @property
    def passes(self) -> tuple[str, ...]:
        """The graphs of a single pass, by their names in the plan."""
        return tuple(name if name == MODEL else self.named(name) for name in self.head.variant.passes)

    @cached_property
    def outputs(self) -> Mapping[str, Any]:
        """The outputs of its head, by its own words: dtype and shape, where `width` is the backbone's width."""
        return self.head.variant.outputs(self.head.record)


class MethodPlan(Frozen):
    """The adaptation method and its record."""

    method: str
    record: Json

    @property
    def variant(self) -> Method[Any]:
        """The record of the method."""
        return variants.method(self.method)


class SetPlan(Frozen):
    """Training rows that some tasks learn from together, and the batches of them in an epoch."""

    tasks: tuple[str, ...]
    rows: int
    batches: int


class TrainPlan(Frozen):
    """The schedule of a training, with every value decided."""

    epochs: int
    steps: int
    steps_per_epoch: int
    batch_size: int
    group_by_length: bool
    learning_rate: float
    head_learning_rate: float
    schedule: str
    warmup_steps: int
    weight_decay: float
    max_grad_norm: float
    layer_decay: float
    layer_of: Json  # tensor name → layers between it and the head; empty where no option needs it
    l2_sp: float  # strength of the pull towards pretrained weights
    gradual_unfreezing: int  # epochs after which one more layer learns; 0 where all layers learn from the start
    metric: str
    patience: int | None
    precision: str
    fold: str = Field(pattern=FOLDS)  # what is cached: `feature`, the output of `layers[0:n]`, or `none`
    fold_precision: Literal["fp32", "fp16"]  # the precision of cached numbers
    fold_views: int  # cached augmented views of each training picture; 1 without augmentation
    sampling: Literal["proportional", "temperature", "round-robin"]
    temperature: float | None
    sets: tuple[SetPlan, ...]

    @property
    def cached_layers(self) -> int:
        """The number of lowest layers whose output is cached; 0 for none and for the whole backbone."""
        return int(self.fold.partition(":")[2].rstrip("]") or 0)


class AdaptersPlan(Frozen):
    """Adapters that heads do not share: the graph runs the common layers once, and the others once for each adapter."""

    names: tuple[str, ...]  # names of heads with an adapter of their own; "" for the shared adapter
    common_layers: int  # the lowest layers without an added tensor in or beneath them


class Estimates(Frozen):
    """The cost of a build: exact parameter counts, estimated bytes."""

    parameters: int
    trainable: int
    memory_bytes: int
    disk_bytes: int
    cached_bytes: int  # the part of disk_bytes for cached features
    onnx_bytes: int
    measured: Json  # statistics of a seeded sample of the training rows


class Pins(Frozen):
    """The files and versions that a plan made from a lock must meet when it is built; no decision depends on them."""

    files: Texts  # SHA-256 of the backbone's files by name
    versions: Texts  # versions of libraries by name


class Phase(Frozen):
    """One training: the tensors that learn, the tasks, and the schedule."""

    seed: int
    backbone: BackbonePlan
    method: MethodPlan
    tasks: tuple[TaskPlan, ...] = Field(min_length=1)
    train: TrainPlan

    @property
    def reading(self) -> DataPlan:
        """The data of the first task, whose preprocessing holds for all tasks; rows and columns differ."""
        return self.tasks[0].data

    def task(self, name: str) -> TaskPlan:
        """The task of a head by its key under `heads`."""
        return next(task for task in self.tasks if task.name == name)

    def together(self, name: str) -> tuple[str, ...]:
        """The tasks that learn from the same rows as a task, including the task itself."""
        return next((rows.tasks for rows in self.train.sets if name in rows.tasks), (name,))

    @property
    def teaching(self) -> tuple[TaskPlan, ...]:
        """The tasks whose training rows are all training rows: of tasks that share rows, only the first."""
        return tuple(task for task in self.tasks if task.split("train") and self.together(task.name)[0] == task.name)

    @property
    def taught(self) -> int:
        """The number of training rows."""
        return sum(split.rows for task in self.teaching for split in task.data.splits if split.name == "train")

    def has(self, split: str) -> bool:
        """Whether any task has rows of a split."""
        return any(task.split(split) for task in self.tasks)

    @property
    def each_adapter(self) -> tuple[str, ...]:
        """The names of all adapters: "" for the shared one, and the head's name for one of its own."""
        return tuple(sorted({task.adapter for task in self.tasks}))

    @property
    def trainable(self) -> int:
        """The number of parameters that learn."""
        times = {"trained": 1, "added": len(self.each_adapter)}
        learns = (t for t in self.backbone.tensors if t.state in times and not t.is_buffer)
        return sum(times[t.state] * math.prod(t.shape) for t in learns) + sum(t.head.learned for t in self.tasks)


class PretrainPlan(Phase):
    """A self-supervised stage before the supervised phase; the next phase starts from the backbone that it makes."""

    fit: TrainPlan | None  # the training of a head that the checkpoint lacks, on a frozen backbone
    language_model: str  # the kind of language-model head that the backbone has afterwards; "" for none
    reads_head: bool = False  # whether it reads the training rows of the head with its task's name


class Plan(Phase):
    """A spec resolved against backbone and data; execution reads nothing else of the spec."""

    format: Literal[3]  # FORMAT
    name: str = Field(pattern=SLUG)
    description: str
    export: ExportPlan
    estimates: Estimates
    spec: Json  # the spec's text as values, with what it extends, for the bundle
    pins: Pins | None = None
    pretrain: tuple[PretrainPlan, ...] = ()
    adapters: AdaptersPlan | None = None  # None where all heads share one adapter
    retain: Phase | None = None  # the backbone's own pretrained objective on a text, its only split `test`

    @property
    def fitted(self) -> tuple[TaskPlan, ...]:
        """The tasks whose heads are fitted before the first step."""
        return tuple(task for task in self.tasks if task.head.start == "fitted")

    @property
    def phases(self) -> tuple[Phase, ...]:
        """All phases that read data: the stages of `pretrain`, the text of `retain`, and the supervised phase."""
        return (*self.pretrain, *((self.retain,) if self.retain else ()), self)

    @cached_property
    def sha256(self) -> str:
        """The plan's hash; estimates and pins are left out, because they decide nothing."""
        return digest(self.model_dump(mode="json", exclude={"estimates", "pins", *self._unused()}))

    def text(self) -> str:
        """The plan as canonical JSON."""
        return canonical(self.model_dump(mode="json", exclude=self._unused()))

    def _unused(self) -> set[str]:
        """Optional fields that are empty: they are left out, so that plans without them keep their hash."""
        return {name for name in ("pins", "pretrain", "adapters", "retain") if not getattr(self, name)}


def read_plan(text: str, name: str) -> Plan:
    """Reads a plan file.

    Raises Refused E0212 for text that is no plan, and for a plan that names variants which this graftc lacks.
    """
    try:
        plan = Plan.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        said = f"{'.'.join(map(str, first['loc'])) or 'text'}: {first['msg'].lower()}"
        raise no_plan(name, _former(text) or said) from None
    named = [("methods", "method.method", plan.method.method)]
    for i, task in enumerate(plan.tasks):
        named += [("heads", f"tasks.{i}.head.type", task.head.type)]
        named += [("inputs", f"tasks.{i}.data.modality", word) for word in task.data.modalities]
    for folder, key, word in named:
        if word not in variants.words(folder):
            raise no_plan(name, f"{key}: there is no {quote(word)}")
    return plan


def _former(text: str) -> str:
    """What is wrong with a plan of another format; empty for any other text."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return ""
    version = found.get("format") if isinstance(found, dict) else None
    if type(version) is not int or version == FORMAT:
        return ""
    return f"it is of format {str(version)[:20]}, and this graftc reads {FORMAT}: plan its spec again"


def read_plan_file(path: Path, name: str) -> Plan:
    """Reads a plan from a file as `read_plan` does; also raises Refused E0212 for a file that is too large."""
    try:
        return read_plan(whole(path, LARGEST).decode("utf-8", "replace"), name)
    except OSError as error:
        raise no_plan(name, (error.strerror or str(error)).lower()) from None


def no_plan(name: str, note: str) -> Refused:
    """E0212, for a file that is no plan of this graftc."""
    headline, help = f"{quote(name)} is not a plan of this graftc", "write one with `graftc plan SPEC -o plan.json`"
    return refuse("E0212", headline, note, at=Row(name), help=help)
