"""The export part of a plan: graphs, precisions, quantization and gates."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import AfterValidator, AliasChoices, Field, PlainSerializer, field_validator, model_validator

from ...runtime.manifest import MODEL, PARITY_ALLOWED
from .. import variants
from ..frozen import Frozen, Json
from .terms import KINDS


class QuantizationPlan(Frozen):
    """The kinds of int8 to try, and the rows that fix scales."""

    kinds: tuple[str, ...] = Field(min_length=1)  # in the order in which they are tried
    # whether the first kind that passes its gates and is small is kept; else the spec names one kind.
    # Older plans call it `is_chosen`
    is_auto: bool = Field(validation_alias=AliasChoices("is_auto", "is_chosen"))
    samples: int = Field(ge=0, le=100_000)  # training rows that fix scales; 0 where no kind needs rows

    @model_validator(mode="after")
    def _has_what_it_takes(self) -> QuantizationPlan:
        strange = next((kind for kind in self.kinds if kind not in variants.words(KINDS)), None)
        if strange is not None or len(set(self.kinds)) < len(self.kinds):
            raise ValueError(f"each kind once, of {', '.join(variants.words(KINDS))}")
        if (self.samples > 0) != any(variants.quantization(kind).needs_rows for kind in self.kinds):
            raise ValueError("samples are for kinds that take rows, and these take at least one")
        return self


# the quantization of older plans, which name no kind
FORMER = QuantizationPlan(kinds=("dynamic",), is_auto=False, samples=0)


class GraphPlan(Frozen):
    """The arrays of a graph by name, each {"dtype", "shape"}; a word in a shape is a dynamic axis."""

    inputs: Json
    outputs: Json


# graphs by name, immutable
Graphs = Annotated[
    Mapping[str, GraphPlan], AfterValidator(MappingProxyType), PlainSerializer(dict, return_type=dict[str, GraphPlan])
]


class ExportPlan(Frozen):
    """The graphs, precisions and gates of the bundle."""

    precision: tuple[Literal["fp32", "int8"], ...] = Field(min_length=1)
    quantization: QuantizationPlan | None = None  # None without int8
    exporter: Literal["tracing", "transformers"]
    optimize: Literal["portable", "onnxruntime"]
    opset: int = Field(ge=14, le=22)
    parity: float = Field(gt=0.0, le=PARITY_ALLOWED)
    metric_drop: float = Field(ge=0.0, le=1.0)
    samples: str
    samples_sha256: str | None
    graphs: Graphs  # those of a single pass, and further graphs that a decoder runs
    # those of a single pass in order: the first takes the arrays of preprocessing, each what those before it give.
    # Most plans have one, and do not say so
    passes: tuple[str, ...] = Field((MODEL,), min_length=1, exclude_if=lambda passes: passes == (MODEL,))

    @field_validator("precision")
    @classmethod
    def _once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) < len(value):
            raise ValueError("each precision once")
        return value

    @model_validator(mode="after")
    def _says_how_int8_is_made(self) -> ExportPlan:
        if "quantization" not in self.model_fields_set and "int8" in self.precision:
            return self.model_copy(update={"quantization": FORMER})
        if ("int8" in self.precision) != (self.quantization is not None):
            raise ValueError("quantization goes with int8 among the precisions")
        for kind in self.quantization.kinds if self.quantization else ():
            if why := variants.quantization(kind).lacks(False, self.optimize):
                raise ValueError(f"{kind}: {why}")
        return self
