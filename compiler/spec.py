"""Parses a Source into a Spec: what was written, strict at every depth."""

from __future__ import annotations

from collections.abc import Container, Iterator
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from . import variants
from .diagnostics import At, Diagnostic, Path, Refused, clean, listed, nearest, quote
from .frozen import SLUG, Frozen
from .mistakes import explain, nothing, unknown_key
from .source import Source

LANGUAGE = 1
Share = Annotated[float, Field(ge=0.0, lt=1.0)]
Rate = Annotated[float, Field(gt=0.0, le=10.0)]
Columns = Annotated[tuple[str, ...], Field(min_length=1)]
File = Annotated[str, Field(min_length=1)]


class Backbone(Frozen):
    """What the graft starts from."""

    from_: str = Field(
        alias="from",
        description="`./folder`, `package:name/path`, `hub:org/name@revision` or `bundle:PATH`",
        min_length=1,
    )
    freeze: tuple[str, ...] = Field((), description="selectors of parts in which nothing learns")


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


Tables = File | Table | Annotated[tuple[File | Table, ...], Field(min_length=1)]


class Data(Frozen):
    """Which rows, and which of their columns play which role."""

    train: Tables = Field(description="training rows: a path, {from, format, split}, or a list of them, concatenated")
    validation: Tables | HeldOut | None = Field(
        None, description="rows that choose the best checkpoint, thresholds and pass gates; or {fraction: 0.1}"
    )
    test: Tables | None = Field(None, description="rows that are scored once and decide nothing")
    columns: dict[str, str | Columns] = Field(default_factory=dict, description="role: column, or a list of columns")


class Rates(Frozen):
    """Learning rates by part."""

    backbone: Rate = Field(description="for what learns in the backbone")
    head: Rate = Field(description="for the head")


class Patience(Frozen):
    """When to stop before the last epoch."""

    patience: int = Field(ge=1, le=100_000, description="epochs without a better validation metric")


class Train(Frozen):
    """How it learns."""

    epochs: int | None = Field(None, ge=1, le=100_000, description="passes over the training rows; default 3")
    max_steps: int | None = Field(None, ge=1, le=1_000_000_000, description="optimiser steps, instead of epochs")
    batch_size: int = Field(32, ge=1, le=1_000_000, description="rows per optimiser step, over all devices")
    learning_rate: Rate | Rates | None = Field(None, description="peak rate, or {backbone, head}; default the method's")
    schedule: Literal["linear", "cosine", "constant"] = Field("linear", description="how the rate falls after warm-up")
    warmup: Share = Field(0.1, description="share of the steps in which the rate rises from zero")
    weight_decay: float = Field(0.01, ge=0.0, le=1.0, description="AdamW's; not on biases and norms")
    max_grad_norm: float = Field(1.0, gt=0.0, description="gradients are clipped to this norm")
    layer_decay: float = Field(
        1.0, gt=0.0, le=1.0, description="factor on the rate for each layer further from the head"
    )
    metric: str | None = Field(None, description="picks the best checkpoint and stops early; default the head's first")
    early_stopping: Patience | None = Field(None, description="needs validation data")
    precision: Literal["fp32", "bf16", "fp16"] = Field("fp32", description="arithmetic while training")
    fold: Literal["auto", "off"] = Field("auto", description="frozen work computed once, or every epoch")


class Gate(Frozen):
    """What the artifact must satisfy, else no bundle is written."""

    parity: float = Field(
        1e-4, gt=0.0, le=1.0, description="largest |a−b| / max(1, largest |a|) between torch and onnxruntime"
    )
    metric_drop: float = Field(
        0.01, ge=0.0, le=1.0, description="most that the validation metric may fall, beyond one standard error"
    )


class Export(Frozen):
    """What comes out."""

    precision: tuple[Literal["fp32", "int8"], ...] = Field(
        ("fp32",), min_length=1, description="one graph each; the first is the bundle's default"
    )
    exporter: Literal["tracing", "transformers"] = Field(
        "tracing", description="torch's tracing exporter, or transformers.exporters"
    )
    optimize: Literal["portable"] = Field("portable", description="standard operators; onnxruntime fuses at load")
    opset: int | None = Field(
        None, ge=14, le=22, description="ONNX operator set; default 17, of the transformers exporter 18, its lowest"
    )
    gate: Gate = Field(default=Gate(), description="limits that the bundle must keep")
    samples: Literal["generated", "validation"] | str = Field(
        "generated", description="golden inputs: generated, validation, or a file"
    )


SECTIONS: dict[str, type[Frozen]] = {"backbone": Backbone, "data": Data, "train": Train, "export": Export}
VARIANTS = {"adapt": ("methods", "method", "an adaptation method"), "head": ("heads", "type", "a task")}
RESERVED = {"pretrain": "self-supervised stages", "heads": "several heads", "extends": "composition"}
SCALARS = ("graftc", "name", "description", "seed")
KEYS = (*SCALARS, "extends", "backbone", "pretrain", "adapt", "head", "heads", "data", "train", "export")


class Top(Frozen):
    """The keys that stand alone."""

    graftc: int = Field(description="language version: 1")
    name: str = Field(pattern=SLUG, description="a slug: lower case, digits, `-`, `_`, `.`")
    description: str = Field("", description="for the model card")
    seed: int = Field(0, ge=0, lt=2**32, description="from which all randomness is derived")


class Spec(Frozen):
    """A spec as written, every section in its type."""

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

    @property
    def modality(self) -> str:
        """The module of `inputs/` that the head reads."""
        return str(variants.load("heads", self.head_type).MODALITY)


def parse(source: Source) -> Spec:
    """Checks the shape of a spec; raises Refused with every mistake of E02xx, in file order."""
    reading = _Reading(source)
    spec = reading.spec()
    if reading.found or spec is None:
        raise Refused(tuple(reading.found), source=source)
    return spec


class _Reading:
    """One pass over a source, collecting mistakes instead of stopping at the first."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.data = source.data
        self.found: list[Diagnostic] = []

    def spec(self) -> Spec | None:
        if not self._version():
            return None
        self._top_keys()
        if "name" not in self.data:
            self._missing("name")
        scalars = {"name": "unnamed"} | {key: self.data[key] for key in SCALARS if key in self.data}
        top = self.section(Top, scalars, ())
        method, adapt = self._variant("adapt", {"method": "full"})
        task, head = self._variant("head", None)
        parts = {name: self._plain(name) for name in SECTIONS if name != "data"}
        data, inputs = self._data(task)
        if self.found:
            return None
        return Spec.model_construct(
            top=top, method=method, adapt=adapt, head_type=task, head=head, data=data, input=inputs, **parts
        )

    def section(self, model: type[Frozen], values: Any, path: Path) -> Any:
        if not isinstance(values, dict):
            self.found.append(explain_kind(path))
            return None
        empty = {place: nothing(place) for place in _empty(values, path)}
        try:
            found: Any = model.model_validate(values)
        except ValidationError as error:
            found = None
            self.found += [d for d in explain(error, model, path, self.data) if not _is_at(d, empty)]
        self.found += empty.values()
        return None if empty else found

    def _version(self) -> bool:
        version = self.data.get("graftc")
        if version == LANGUAGE and not isinstance(version, bool | float):
            return True
        at, help = At(("graftc",), f"this graftc reads version {LANGUAGE}"), f"write `graftc: {LANGUAGE}`"
        if "graftc" not in self.data:
            found = Diagnostic("E0204", "`graftc` is missing", At(()), help=f"begin the spec with `graftc: {LANGUAGE}`")
        elif isinstance(version, int) and not isinstance(version, bool) and version > LANGUAGE:
            found = Diagnostic("E0208", f"language version {clean(version)} is not known", at, help="upgrade graftc")
        else:
            found = Diagnostic("E0208", "`graftc` names no language version", at, help=help)
        self.found.append(found)
        return False

    def _top_keys(self) -> None:
        for key in self.data:
            if key in RESERVED:
                at, notes = At((key,), "reserved", on_key=True), (f"kept for {RESERVED[key]}, in a later version",)
                self.found.append(Diagnostic("E0206", f"`{key}` is not available yet", at, notes=notes))
            elif key not in KEYS:
                self.found.append(unknown_key((key,), KEYS, "the spec"))

    def _plain(self, name: str) -> Any:
        values = self.data.get(name)
        if values is None and name in ("train", "export"):  # all of their keys have defaults
            values = {}
        if values is None:
            self._missing(name)
            return None
        return self.section(SECTIONS[name], values, (name,))

    def _missing(self, name: str) -> None:
        if name in self.data:
            at, headline = At((name,), "nothing below", on_key=True), f"`{name}` is empty"
            self.found.append(Diagnostic("E0204", headline, at, help=f"write its keys, indented below `{name}:`"))
        elif not any(f"did you mean `{name}`?" == d.help for d in self.found) and (
            name != "head" or "heads" not in self.data
        ):
            self.found.append(Diagnostic("E0204", f"`{name}` is missing", At(()), help=f"add `{name}:`"))

    def _variant(self, section: str, default: dict[str, Any] | None) -> tuple[str, Any]:
        folder, tag, noun = VARIANTS[section]
        values = self.data.get(section, default)
        known = variants.words(folder)
        if values is None:
            self._missing(section)
        elif not isinstance(values, dict):
            self.found.append(explain_kind((section,)))
        elif tag not in values:
            at, help = At((section,), on_key=True), f"add `{tag}:` with one of: {listed(known)}"
            self.found.append(Diagnostic("E0204", f"`{tag}` is missing under `{section}`", at, help=help))
        elif values[tag] is None:
            self.found.append(nothing((section, tag)))
        elif values[tag] not in known:
            at, notes = At((section, tag), f"not {noun}"), (f"{folder}: {listed(known)}",)
            word = quote(values[tag]) if isinstance(values[tag], str | int | float) else f"`{tag}`"
            headline = f"unknown {tag} {word}" if isinstance(values[tag], str) else f"{word} names no {tag}"
            self.found.append(Diagnostic("E0203", headline, at, (), notes, nearest(values[tag], known)))
        else:
            rest = {key: value for key, value in values.items() if key != tag}
            return values[tag], self.section(variants.load(folder, values[tag]).Options, rest, (section,))
        return "", None

    def _data(self, task: str) -> tuple[Any, Any]:
        values = self.data.get("data")
        if values is None:
            self._missing("data")
            return None, None
        if not isinstance(values, dict):
            self.found.append(explain_kind(("data",)))
            return None, None
        # of an unknown task nobody can say which inputs it takes, so the keys of all of them pass
        every = {word: variants.load("inputs", word).Options for word in variants.words("inputs")}
        options = every[variants.load("heads", task).MODALITY] if task else None
        fields = options.model_fields if options else {f for each in every.values() for f in each.model_fields}
        own = {key: value for key, value in values.items() if key in fields}
        rest = {key: value for key, value in values.items() if key not in fields}
        return self.section(Data, rest, ("data",)), self.section(options, own, ("data",)) if options else None


def _empty(values: Any, path: Path) -> Iterator[Path]:
    """Where keys stand without a value."""
    items = values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, tuple) else ()
    for step, value in items:
        if value is None:
            yield (*path, step)
        else:
            yield from _empty(value, (*path, step))


def _is_at(found: Diagnostic, places: Container[Path]) -> bool:
    return isinstance(found.at, At) and found.at.path in places


def explain_kind(path: Path) -> Diagnostic:
    """The diagnostic for a section that is not a mapping."""
    at = At(path, "expected keys and values, indented below")
    return Diagnostic("E0202", f"{quote(path[-1])} is not a mapping", at)
