"""The Plan: everything that was decided, as pure data with one canonical form and one hash."""

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

FORMAT = 3  # of plans; one of another format is planned again from its spec
FOLDS = r"^(feature|none|layers\[0:[1-9]\d{0,3}\])$"
NAMED = r"^([a-z][a-z0-9_]{0,31})?$"  # of heads, empty for the only one
LARGEST = 64 << 20  # bytes of a plan; one of a large backbone has a few


class TensorPlan(Frozen):
    """A tensor of the adapted backbone and what happens to it.

    frozen: unchanged, in inference mode · held: unchanged, while an adapter learns around it · trained: learns ·
    added: learns and is new.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    state: Literal["frozen", "held", "trained", "added"]
    is_buffer: bool


class BackbonePlan(Frozen):
    """What the network starts from, pinned."""

    source: str
    family: str  # a module of backbones/
    config_sha256: str
    header_sha256: str
    files: tuple[str, ...]
    width: int
    tensors: tuple[TensorPlan, ...]
    inference: tuple[str, ...]  # modules that run in inference mode while the rest trains
    is_frozen: bool  # nothing of it learns
    dropout: float | None = None  # of all its dropouts, None for what its config.json says

    @property
    def variant(self) -> Family:
        """What is known of its family."""
        return variants.family(self.family)


class TablePlan(Frozen):
    """A data file or folder, by the path the spec gives it."""

    path: str
    format: str
    split: str | None
    sha256: str
    # numbers of rows that are left out, as `world.bad_rows.ranges` writes them
    skipped: str = Field("", exclude_if=operator.not_)


class SplitPlan(Frozen):
    """The rows of a split; `held_out` is the share taken from the training rows, which then leave training."""

    name: str
    tables: tuple[TablePlan, ...]
    held_out: float | None
    rows: int
    left_out: Json = Field(Json({}), exclude_if=operator.not_)  # rows that can't be used, by what is wrong with them


class DataPlan(Frozen):
    """Rows, roles and how inputs become arrays."""

    splits: tuple[SplitPlan, ...]
    columns: Json
    modality: str
    inputs: tuple[str, ...]  # arrays that the backbone takes
    preprocessing: Json
    augment: Json | None

    @property
    def variant(self) -> Input[Any]:
        """The modality of its inputs."""
        return variants.input(self.modality)

    @property
    def modalities(self) -> tuple[str, ...]:
        """The modalities that make one input; the first is the backbone's."""
        return modalities(self.modality)

    @property
    def readings(self) -> Mapping[str, Mapping[str, Any]]:
        """How each of them becomes arrays, by its word."""
        if len(self.modalities) == 1:
            return {self.modality: self.preprocessing}
        found: Mapping[str, Mapping[str, Any]] = self.preprocessing["readings"]
        return found

    @property
    def arguments(self) -> Mapping[str, str]:
        """The arrays that the backbone takes, by the names of its arguments."""
        if len(self.modalities) == 1:
            return {name: name for name in self.inputs}
        return {name: f"{self.modalities[0]}.{name}" for name in self.inputs}

    @property
    def arrays(self) -> tuple[str, ...]:
        """The inputs of the graph: those of the backbone, and of other modalities all that there are."""
        own = tuple(self.arguments.values())
        if len(self.modalities) == 1:
            return own
        return (*own, *(name for name in self.variant.arrays if not name.startswith(f"{self.modalities[0]}.")))


class HeadPlan(Frozen):
    """What is put on top: a head, or the objective of a stage."""

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
        """All that it can do."""
        return variants.top(self.type)

    @property
    def learned(self) -> int:
        """How many of its parameters learn."""
        return 0 if self.is_frozen else self.parameters


class TaskPlan(Frozen):
    """What is learned for one head; `name` is its key under `heads`, "" for `head`.

    An input is read once for all, so `data` of each says the same of `modality`, `inputs`, `preprocessing` and
    `augment`.
    """

    name: str = Field(pattern=NAMED)
    head: HeadPlan
    data: DataPlan
    weight: float  # of its loss, and of its metric among those that pick the best epoch
    metric: str  # "" where it has nothing to learn
    adapt: Literal["shared", "own"]

    def split(self, name: str) -> SplitPlan | None:
        """A split by name, None where the spec gives none."""
        return next((split for split in self.data.splits if split.name == name), None)

    @property
    def adapter(self) -> str:
        """Whose adapter its inputs go through: its own, by its name, or "", which the heads share."""
        return self.name if self.adapt == "own" else ""

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
        """Those of the outputs or scores of all heads that are this one's, by its own words."""
        prefix = self.named("")
        return {name.removeprefix(prefix): value for name, value in values.items() if name.startswith(prefix)}

    @cached_property
    def graphs(self) -> Mapping[str, Graph]:
        """The graphs that its decoder asks, by its own words; `model` is among them."""
        arrays = {name: self.data.variant.array(name, self.data.preprocessing) for name in self.data.arrays}
        given = Graph(inputs=arrays, outputs=self.outputs)
        return self.head.variant.graphs(self.head.record, given)

    @property
    def asks_again(self) -> bool:
        """Whether its decoder asks more than a single pass of `model`: other graphs, or this one with states of before."""
        return len(self.graphs) > 1 or any("default" in each for each in self.graphs[MODEL].inputs.values())

    @cached_property
    def outputs(self) -> Mapping[str, Any]:
        """The arrays that its head gives, by its own words: dtype and shape, in which `width` is the backbone's."""
        return self.head.variant.outputs(self.head.record)


class MethodPlan(Frozen):
    """How the backbone learns."""

    method: str
    record: Json

    @property
    def variant(self) -> Method[Any]:
        """The method itself."""
        return variants.method(self.method)


class SetPlan(Frozen):
    """Training rows that some tasks learn from together, and how many batches of them an epoch has."""

    tasks: tuple[str, ...]
    rows: int
    batches: int


class TrainPlan(Frozen):
    """The schedule, nothing left to choose."""

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
    layer_of: Json  # tensor name → distance from the head, where that matters
    l2_sp: float  # strength of the pull towards pretrained weights
    gradual_unfreezing: int  # epochs after which one more layer learns; 0 where all learn from the start
    metric: str
    patience: int | None
    precision: str
    fold: str = Field(
        pattern=FOLDS
    )  # what is computed once: `feature`, the states that `layers[0:n]` hand on, or `none`
    fold_precision: Literal["fp32", "fp16"]  # of what is kept of it
    fold_views: int  # drawn changes of each training picture that are kept; 1 where there are none
    sampling: Literal["proportional", "temperature", "round-robin"]
    temperature: float | None
    sets: tuple[SetPlan, ...]

    @property
    def cached_layers(self) -> int:
        """How many of the lowest layers are computed once; 0 where none are, or where the whole backbone is."""
        return int(self.fold.partition(":")[2].rstrip("]") or 0)


class AdaptersPlan(Frozen):
    """Adapters that not all heads share: in the graph the backbone's lowest layers run once, the rest once for each."""

    names: tuple[str, ...]  # a head that has its own by its name, "" for what the others share
    common_layers: int  # the lowest layers in which nothing is added, nor beneath them: these run once


class Estimates(Frozen):
    """What it costs; parameters are exact, bytes are estimates."""

    parameters: int
    trainable: int
    memory_bytes: int
    disk_bytes: int
    cached_bytes: int  # of disk_bytes: what frozen work gives, kept for every row
    onnx_bytes: int
    measured: Json  # of a seeded sample of the training rows


class Pins(Frozen):
    """What a plan made from a lock must meet when it is built; it decides nothing."""

    files: Texts  # SHA-256 of the backbone's files, by name
    versions: Texts  # of libraries, by name


class Phase(Frozen):
    """A training: what learns, for which tasks, and how."""

    seed: int
    backbone: BackbonePlan
    method: MethodPlan
    tasks: tuple[TaskPlan, ...] = Field(min_length=1)
    train: TrainPlan

    @property
    def reading(self) -> DataPlan:
        """How inputs become arrays, which is the same for all tasks; whose rows and columns they are, is not."""
        return self.tasks[0].data

    def task(self, name: str) -> TaskPlan:
        """The task of a head, by its key under `heads`."""
        return next(task for task in self.tasks if task.name == name)

    def together(self, name: str) -> tuple[str, ...]:
        """The tasks that learn from the same rows as one, itself among them."""
        return next((rows.tasks for rows in self.train.sets if name in rows.tasks), (name,))

    @property
    def teaching(self) -> tuple[TaskPlan, ...]:
        """The tasks whose training rows are all that there are: of those that share theirs, the first."""
        return tuple(task for task in self.tasks if task.split("train") and self.together(task.name)[0] == task.name)

    @property
    def taught(self) -> int:
        """How many training rows there are."""
        return sum(split.rows for task in self.teaching for split in task.data.splits if split.name == "train")

    def has(self, split: str) -> bool:
        """Whether any task has rows of a split."""
        return any(task.split(split) for task in self.tasks)

    @property
    def each_adapter(self) -> tuple[str, ...]:
        """The adapters that there are: "" for what heads share, and each head's own by its name."""
        return tuple(sorted({task.adapter for task in self.tasks}))

    @property
    def trainable(self) -> int:
        """How many numbers learn."""
        times = {"trained": 1, "added": len(self.each_adapter)}
        learns = (t for t in self.backbone.tensors if t.state in times and not t.is_buffer)
        return sum(times[t.state] * math.prod(t.shape) for t in learns) + sum(t.head.learned for t in self.tasks)


class PretrainPlan(Phase):
    """A self-supervised stage before the supervised one; what it makes of the backbone, the next phase starts from."""

    fit: TrainPlan | None  # of the head alone, on a frozen backbone, where the checkpoint lacks it
    language_model: str  # whose head the backbone has afterwards, "" for none
    reads_head: bool = False  # the training rows of the head of its task's name, which are prepared once for both


class Plan(Phase):
    """A spec resolved against the world; the executor sees this and nothing else."""

    format: Literal[3]  # FORMAT
    name: str = Field(pattern=SLUG)
    description: str
    export: ExportPlan
    estimates: Estimates
    spec: Json  # as written and composed, for the bundle
    pins: Pins | None = None
    pretrain: tuple[PretrainPlan, ...] = ()
    adapters: AdaptersPlan | None = None  # where not all heads share one
    retain: Phase | None = (
        None  # the backbone's own pretrained objective, on a text of the `test` split; nothing learns
    )

    @property
    def fitted(self) -> tuple[TaskPlan, ...]:
        """The tasks whose heads are fitted before the first step."""
        return tuple(task for task in self.tasks if task.head.start == "fitted")

    @property
    def phases(self) -> tuple[Phase, ...]:
        """All that reads data: the stages of `pretrain`, the text of `retain`, and the supervised phase itself."""
        return (*self.pretrain, *((self.retain,) if self.retain else ()), self)

    @cached_property
    def sha256(self) -> str:
        """The plan's identity; estimates and pins decide nothing and stay out."""
        return digest(self.model_dump(mode="json", exclude={"estimates", "pins", *self._unused()}))

    def text(self) -> str:
        """Canonical JSON."""
        return canonical(self.model_dump(mode="json", exclude=self._unused()))

    def _unused(self) -> set[str]:
        """What a plan has not; it is written nowhere, so that a plan without it is as it ever was."""
        return {name for name in ("pins", "pretrain", "adapters", "retain") if not getattr(self, name)}


def read_plan(text: str, name: str) -> Plan:
    """Reads a plan file; raises Refused E0212 for anything that is not one, or that names variants of another graftc."""
    try:
        plan = Plan.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        said = f"{'.'.join(map(str, first['loc'])) or 'text'}: {first['msg'].lower()}"
        raise _no_plan(name, _former(text) or said) from None
    named = [("methods", "method.method", plan.method.method)]
    for i, task in enumerate(plan.tasks):
        named += [("heads", f"tasks.{i}.head.type", task.head.type)]
        named += [("inputs", f"tasks.{i}.data.modality", word) for word in task.data.modalities]
    for folder, key, word in named:
        if word not in variants.words(folder):
            raise _no_plan(name, f"{key}: there is no {quote(word)}")
    return plan


def _former(text: str) -> str:
    """What is to be said of a plan of another format, empty of any other text."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return ""
    version = found.get("format") if isinstance(found, dict) else None
    if type(version) is not int or version == FORMAT:
        return ""
    return f"it is of format {str(version)[:20]}, and this graftc reads {FORMAT}: plan its spec again"


def read_plan_file(path: Path, name: str) -> Plan:
    """Reads a plan from its file, as `read_plan` does; raises Refused E0212 too for one that no plan is as large as."""
    try:
        return read_plan(whole(path, LARGEST).decode("utf-8", "replace"), name)
    except OSError as error:
        raise _no_plan(name, (error.strerror or str(error)).lower()) from None


def _no_plan(name: str, note: str) -> Refused:
    headline, help = f"{quote(name)} is not a plan of this graftc", "write one with `graftc plan SPEC -o plan.json`"
    return refuse("E0212", headline, note, at=Row(name), help=help)
