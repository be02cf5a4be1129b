"""The spec language: the pydantic model of every section, strict at every depth."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field

from ...runtime.manifest import PARITY_ALLOWED
from .. import variants
from ..diagnostics import Diagnostic
from ..frozen import MOST, SLUG, Frozen
from ..units import SIZE
from .places import SPLITS

if TYPE_CHECKING:
    from ..contracts.head import Head
    from ..contracts.input import Input
    from ..contracts.method import Method

LANGUAGE = 1
MOST_PARTS = 100  # entries of `heads` and of `pretrain`: each reads its data
Share = Annotated[float, Field(ge=0.0, lt=1.0)]
Rate = Annotated[float, Field(gt=0.0, le=10.0)]
Columns = Annotated[tuple[str, ...], Field(min_length=1)]
File = Annotated[str, Field(min_length=1)]


class Backbone(Frozen):
    """The section `backbone`: the pretrained network and its frozen parts."""

    from_: str = Field(
        alias="from",
        description="`./folder`, `package:name/path`, `hub:org/name@revision` or `bundle:PATH`",
        min_length=1,
    )
    freeze: tuple[str, ...] = Field((), max_length=MOST, description="selectors of parts in which nothing learns")
    dropout: Share | None = Field(
        None, description="share of states dropped while training, in every part that learns; default the model's own"
    )


class Table(Frozen):
    """One data file or folder."""

    from_: str = Field(alias="from", description="path relative to the spec", min_length=1)
    format: str | None = Field(None, description="default: by the file's ending")
    split: str | None = Field(
        None, description="keep the rows whose column `split` says this; of a folder, the sub-folder of this name"
    )


class HeldOut(Frozen):
    """Validation rows taken from the training rows."""

    fraction: float = Field(gt=0.0, lt=1.0, description="share of the training rows, stratified by label and seeded")


class Skip(Frozen):
    """The form of `bad_rows` that leaves unusable rows out, up to a share of a split's rows."""

    EXAMPLE: ClassVar[Any] = 0.01

    skip: float = Field(gt=0.0, le=0.5, description="the largest share of a split's rows that may be left out")


Tables = File | Table | Annotated[tuple[File | Table, ...], Field(min_length=1, max_length=MOST)]


class Data(Frozen):
    """The section `data`: the tables of each split, and the role of each column."""

    train: Tables = Field(description="training rows: a path, {from, format, split}, or a list of them, concatenated")
    validation: Tables | HeldOut | None = Field(
        None, description="rows that choose the best checkpoint, thresholds and pass gates; or {fraction: 0.1}"
    )
    test: Tables | None = Field(None, description="rows that are scored once and decide nothing")
    columns: dict[str, str | Columns] = Field(default_factory=dict, description="role: column, or a list of columns")
    bad_rows: Literal["refuse"] | Skip = Field(
        "refuse", description="what becomes of rows that can't be used: an error, or {skip: 0.01} leaves them out"
    )


class Rates(Frozen):
    """Learning rates by part."""

    backbone: Rate = Field(description="for what learns in the backbone")
    head: Rate = Field(description="for the head")


class Patience(Frozen):
    """The section `train.early_stopping`."""

    patience: int = Field(ge=1, le=100_000, description="epochs without a better validation metric")


class Temperature(Frozen):
    """Sampling in proportion to a set's size to the power of 1/temperature."""

    temperature: float = Field(
        ge=1.0, le=1000.0, description="1 is proportional, many is nearly alike; `sampling: temperature` is 2"
    )


class Folding(Frozen):
    """The section `train.fold`: how outputs of frozen layers are cached."""

    precision: Literal["fp32", "fp16"] = Field("fp32", description="of what is kept; fp16 takes half the space")
    budget: str | None = Field(
        None,
        pattern=SIZE,
        description="the most that it may take, e.g. 20GB; what would take more is computed in every epoch",
    )
    views: int = Field(
        1,
        ge=1,
        le=100,
        description="drawn changes of each picture that are kept, where `data.augment` asks for changes",
    )


class Train(Frozen):
    """The section `train`: length, rates, schedule and precision of training."""

    model_config = ConfigDict(json_schema_extra={"not": {"required": ["epochs", "max_steps"]}})  # E0209

    epochs: int | None = Field(
        None, ge=0, le=100_000, description="passes over the training rows; default 3; 0: a fitted head is all there is"
    )
    max_steps: int | None = Field(None, ge=1, le=1_000_000_000, description="optimiser steps, instead of epochs")
    batch_size: int = Field(32, ge=1, le=1_000_000, description="rows per optimiser step, over all devices")
    group_by_length: bool = Field(True, description="rows of like length share a batch, so that little is padding")
    learning_rate: Rate | Rates | None = Field(None, description="peak rate, or {backbone, head}; default the method's")
    schedule: Literal["linear", "cosine", "constant"] = Field("linear", description="how the rate falls after warm-up")
    warmup: Share = Field(0.1, description="share of the steps in which the rate rises from zero")
    weight_decay: float = Field(0.01, ge=0.0, le=1.0, description="AdamW's; not on biases and norms")
    max_grad_norm: float = Field(1.0, gt=0.0, description="gradients are clipped to this norm")
    layer_decay: float = Field(
        1.0, gt=0.0, le=1.0, description="factor on the rate for each layer further from the head"
    )
    l2_sp: float = Field(
        0.0, ge=0.0, le=1000.0, description="how strongly weights that learn are pulled to the pretrained ones (L2-SP)"
    )
    gradual_unfreezing: int = Field(
        0,
        ge=0,
        le=100_000,
        description="layers join from the top, one after each so many epochs; 0: all from the start",
    )
    metric: str | None = Field(None, description="picks the best checkpoint and stops early; default the head's first")
    sampling: Literal["proportional", "temperature", "round-robin"] | Temperature = Field(
        "proportional",
        description="how often each set of rows is drawn from where heads have several; "
        "an epoch is one pass over the largest",
    )
    early_stopping: Patience | None = Field(None, description="needs validation data")
    precision: Literal["fp32", "bf16", "fp16"] = Field("fp32", description="arithmetic while training")
    fold: Literal["auto", "off"] | Folding = Field("auto", description="frozen work computed once, or every epoch")


class Entry(Frozen):
    """The keys of an entry of `heads` besides `data` and the keys of its head."""

    weight: float = Field(1.0, gt=0.0, le=1e6, description="of its loss, and of its metric in the mean of all")
    metric: str | None = Field(None, description="its metric; default the head's first")
    adapt: Literal["shared", "own"] = Field("shared", description="whether it learns the adapter with the other heads")


class Gate(Frozen):
    """The section `export.gate`: limits that the artifact must keep, or no bundle is written."""

    parity: float = Field(
        1e-4, gt=0.0, le=PARITY_ALLOWED, description="largest |a−b| / max(1, largest |a|) between torch and onnxruntime"
    )
    metric_drop: float | None = Field(
        None,
        ge=0.0,
        le=1.0,
        description="most that the validation metric may fall, beyond one standard error, as a share of it for "
        "perplexity; default 0.01, of a language model that writes 0.02 in int8 and 0.15 in int4",
    )


class Export(Frozen):
    """The section `export`: the graphs of the bundle and how they are made."""

    precision: tuple[Literal["fp32", "int8", "int4"], ...] = Field(
        ("fp32",),
        min_length=1,
        description="one graph each; the first is the bundle's default; int4 is of language models that write",
        json_schema_extra={"uniqueItems": True},  # E0209
    )
    quantization: Literal[("auto", *variants.words("quantizations"))] = Field(  # type: ignore[valid-type]
        "auto",
        description="how int8 is made: dynamic, static (scales from training rows), weights, "
        "or auto, the first that passes",
    )
    calibration_samples: int | None = Field(
        None,
        ge=1,
        le=100_000,
        description="training rows that fix the scales of static int8 and the rounding of int4; default 128",
    )
    exporter: Literal["tracing", "transformers"] = Field(
        "tracing", description="torch's tracing exporter, or transformers.exporters"
    )
    optimize: Literal["portable", "onnxruntime"] = Field(
        "portable", description="standard operators, which onnxruntime fuses at load, or its own, fused in the file"
    )
    opset: int | None = Field(
        None, ge=14, le=22, description="ONNX operator set; default 17, of the transformers exporter 18, its lowest"
    )
    gate: Gate = Field(default=Gate(), description="limits that the bundle must keep")
    samples: Literal["generated", "validation"] | str = Field(
        "generated",
        description="golden inputs: generated, or validation, whose rows then travel in the bundle; a file: not yet",
    )


SECTIONS: dict[str, type[Frozen]] = {"backbone": Backbone, "data": Data, "train": Train, "export": Export}
VARIANTS = {"adapt": ("methods", "method", "an adaptation method"), "head": ("heads", "type", "a task")}
DEFAULTS = {"adapt": {"method": "full"}}  # of sections that a spec may leave out
STAGE = (
    "objective",
    "freeze",
    "adapt",
    "data",
    "train",
)  # keys of a stage of `pretrain`, besides those of its objective
OBJECTIVE = ("objectives", "objective", "an objective")  # in the form of the values of VARIANTS
SCALARS = ("graftc", "name", "description", "seed")
# the key by which a map names its variant; a map that names another variant replaces the one below it
TAGS: dict[tuple[str | int, ...], str] = {
    ("backbone",): "from",
    **{(section,): tag for section, (_, tag, _) in VARIANTS.items()},
    **{("data", split): "from" for split in SPLITS},
    ("retain", "data"): "from",
}
KEYS = (*SCALARS, "extends", "backbone", "pretrain", "adapt", "head", "heads", "data", "train", "retain", "export")


class Freeze(Frozen):
    """The key `freeze` of a stage of `pretrain`."""

    freeze: tuple[str, ...] = Field((), max_length=MOST, description="selectors of parts in which nothing learns")


class Retain(Frozen):
    """The section `retain`: a text that measures the backbone's pretrained objective before and after training."""

    data: Tables = Field(description="rows: a path, {from, format, split}, or a list of them, concatenated")
    columns: dict[str, str | Columns] = Field(default_factory=dict, description="role: column; the role is `text`")
    bad_rows: Literal["refuse"] | Skip = Field("refuse", description="as that of `data`")


class Top(Frozen):
    """The scalar keys of a spec."""

    graftc: int = Field(description="language version: 1")
    name: str = Field(pattern=SLUG, description="a slug: lower case, digits, `-`, `_`, `.`")
    description: str = Field("", description="for the model card")
    seed: int = Field(0, ge=0, lt=2**32, description="from which all randomness is derived")


class Spec(Frozen):
    """A spec as written, each section as its model."""

    top: Top
    backbone: Backbone
    method: str
    adapt: Any
    head_type: str
    head: Any
    data: Data
    input: Any
    train: Train
    export: Export
    pretrain: tuple[Spec, ...]  # each stage as a spec of its own, whose head is its objective
    retain: Retain | None
    name: str
    entry: Entry
    together: tuple[str, ...]
    tasks: tuple[Any, ...]

    @property
    def each(self) -> tuple[Spec, ...]:
        """The spec of each head, as if the head were the only one."""
        return self.tasks or (self,)

    @property
    def modality(self) -> str:
        """The word of the module in `inputs/` that reads the head's input."""
        return variants.top(self.head_type).modality

    @property
    def head_variant(self) -> Head[Any, Any]:
        """The record of the head, or of a stage's objective."""
        return variants.top(str(self.head_type))

    @property
    def method_variant(self) -> Method[Any]:
        """The record of the adaptation method."""
        return variants.method(str(self.method))

    @property
    def input_variant(self) -> Input[Any]:
        """The record of the input that the head reads."""
        return variants.input(str(self.modality))


@dataclass(frozen=True)
class Draft:
    """The valid part of a spec.

    A section stands without its wrong keys, or is None if it is invalid without them. `lost` holds the words of those
    keys and of the keys that were probably meant, so that no check relies on their absence.
    """

    top: Top | None = None
    backbone: Backbone | None = None
    method: str | None = None
    adapt: Any = None
    head_type: str | None = None
    head: Any = None
    data: Data | None = None
    input: Any = None
    train: Train | None = None
    export: Export | None = None
    pretrain: tuple[Draft, ...] = ()
    retain: Retain | None = None
    found: tuple[Diagnostic, ...] = ()  # every mistake of E02xx
    lost: frozenset[str] = frozenset()
    name: str = ""  # the head's name in a spec with `heads`, else empty
    entry: Entry = field(default_factory=Entry)  # the keys of its entry in `heads`
    own: frozenset[tuple[str | int, ...]] = frozenset()  # keys under `data` that the head writes itself
    together: tuple[str, ...] = ()  # the heads that read the same training rows, this one included
    tasks: tuple[Draft, ...] = ()  # in a spec with `heads`, the draft of each; `head` is then None

    @property
    def each(self) -> tuple[Draft, ...]:
        """The draft of each head, as if the head were the only one."""
        return self.tasks or (self,)

    @property
    def modality(self) -> str | None:
        """The word of the module in `inputs/` that reads the head's input; None without a head."""
        return variants.top(self.head_type).modality if self.head_type else None

    @property
    def head_variant(self) -> Head[Any, Any]:
        """The record of the head, or of a stage's objective."""
        return variants.top(str(self.head_type))

    @property
    def method_variant(self) -> Method[Any]:
        """The record of the adaptation method."""
        return variants.method(str(self.method))

    @property
    def input_variant(self) -> Input[Any]:
        """The record of the input that the head reads."""
        return variants.input(str(self.modality))

    @property
    def augmentation(self) -> Frozen | None:
        """The random changes to training inputs; None if there are none."""
        return variants.input(self.modality).augmentation(self.input) if self.modality and self.input else None

    def whole(self) -> Spec:
        """The spec, for a draft without mistakes."""
        assert not self.found
        own = {name: getattr(self, name) for name in Spec.model_fields}
        inner = {part: tuple(each.whole() for each in getattr(self, part)) for part in ("pretrain", "tasks")}
        return Spec.model_construct(**own | inner)
