"""What of a plan says what comes out."""

from __future__ import annotations

from pydantic import Field

from ..frozen import Frozen, Json

SMALL = 0.4  # of fp32's bytes, embeddings apart: the most that int8 of quantization `auto` may have


class QuantizationPlan(Frozen):
    """How int8 is made."""

    kinds: tuple[str, ...] = Field(min_length=1)  # in the order in which they are tried
    is_chosen: bool  # whether the first of them is kept that passes and is small, not the one that the spec names
    samples: int  # training rows that fix scales, 0 where no kind takes any


class ExportPlan(Frozen):
    """What comes out and what it must satisfy."""

    precision: tuple[str, ...] = Field(min_length=1)
    quantization: QuantizationPlan | None = None  # of int8
    exporter: str
    optimize: str
    opset: int
    parity: float
    metric_drop: float
    samples: str
    samples_sha256: str | None
    inputs: Json  # name → {"dtype", "shape"}; a word in a shape is a dynamic axis
    outputs: Json
