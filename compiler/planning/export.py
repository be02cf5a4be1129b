"""The export part of a plan: graphs, precisions, quantization and gates."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import AfterValidator, AliasChoices, Field, PlainSerializer, field_validator, model_validator

from ...runtime.manifest import MODEL, PARITY_ALLOWED
from .. import variants
from ..frozen import Frozen, Json
from .terms import BITS, KINDS


class QuantizationPlan(Frozen):
    """The kinds of quantization to try for a precision, and the rows that fix scales."""

    kinds: tuple[str, ...] = Field(min_length=1)  # in the order in which they are tried
    # whether the first kind that passes its gates and is small is kept; else the spec names one kind.
    # Older plans call it `is_chosen`
    is_auto: bool = Field(validation_alias=AliasChoices("is_auto", "is_chosen"))
    samples: int = Field(ge=0, le=100_000)  # training rows that fix scales; 0 where no kind needs rows
    # whether each kind is tried throughout before any is tried with parts left in float
    whole_first: bool = Field(False, exclude_if=operator.not_)

    @model_validator(mode="after")
    def _has_what_it_takes(self) -> QuantizationPlan:
        strange = next((kind for kind in self.kinds if kind not in variants.words(KINDS)), None)
        if strange is not None or len(set(self.kinds)) < len(self.kinds):
            raise ValueError(f"each kind once, of {', '.join(variants.words(KINDS))}")
        return self


# the quantization of older plans, which name no kind
FORMER = QuantizationPlan(kinds=("dynamic",), is_auto=False, samples=0)


class AttentionPlan(Frozen):
    """The operator of attention in the graph of a language model that writes."""

    operator: Literal["GroupQueryAttention", "standard operators"]
    because: str = ""  # why not GroupQueryAttention

    @property
    def is_grouped(self) -> bool:
        """Whether it is GroupQueryAttention, whose rows are padded on the right."""
        return self.operator == "GroupQueryAttention"


class GraphPlan(Frozen):
    """The arrays of a graph by name, each {"dtype", "shape"}; a word in a shape is a dynamic axis."""

    inputs: Json
    outputs: Json


# graphs by name, immutable
Graphs = Annotated[
    Mapping[str, GraphPlan], AfterValidator(MappingProxyType), PlainSerializer(dict, return_type=dict[str, GraphPlan])
]


def padding(plan: ExportPlan) -> dict[str, str]:
    """The field of a head's record by which a decoder knows on which side its graph wants rows padded."""
    return {"padding": "right"} if plan.is_grouped else {}


class ExportPlan(Frozen):
    """The graphs, precisions and gates of the bundle."""

    precision: tuple[Literal["fp32", "int8", "int4"], ...] = Field(min_length=1)
    quantization: QuantizationPlan | None = None  # None without int8
    int4: QuantizationPlan | None = Field(None, exclude_if=operator.not_)  # None without int4
    exporter: Literal["tracing", "transformers"]
    optimize: Literal["portable", "onnxruntime"]
    # with `optimize: onnxruntime` of a head that goes on from a cache, else None
    attention: AttentionPlan | None = Field(None, exclude_if=operator.not_)
    opset: int = Field(ge=14, le=22)
    parity: float = Field(gt=0.0, le=PARITY_ALLOWED)
    metric_drop: float = Field(ge=0.0, le=1.0)
    drops: Json = Field(Json({}), exclude_if=operator.not_)  # precision → its own `metric_drop`
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
        if ("int4" in self.precision) != (self.int4 is not None):
            raise ValueError("`int4` goes with int4 among the precisions")
        for precision, plan in self.quantized.items():
            if (plan.samples > 0) != any(BITS[precision] in variants.quantization(k).needs_rows for k in plan.kinds):
                raise ValueError("samples are for kinds that take rows, and these take at least one")
            for kind in plan.kinds:
                if BITS[precision] not in variants.quantization(kind).bits:
                    raise ValueError(f"{kind}: not in {BITS[precision]} bits")
                if why := variants.quantization(kind).lacks(False, self.optimize, False):
                    raise ValueError(f"{kind}: {why}")
        return self

    @property
    def is_grouped(self) -> bool:
        """Whether attention is GroupQueryAttention, whose rows are padded on the right."""
        return self.attention is not None and self.attention.is_grouped

    @property
    def quantized(self) -> dict[str, QuantizationPlan]:
        """How each quantized precision is made, in the order of precisions."""
        found = {"int8": self.quantization, "int4": self.int4}
        return {word: plan for word in self.precision if (plan := found.get(word))}

    def allowed(self, precision: str) -> float:
        """How far the gated metric may fall in a precision."""
        return float(self.drops.get(precision, self.metric_drop))
