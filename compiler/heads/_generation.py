"""Keys of heads that write texts."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ..frozen import Frozen

Stop = Annotated[str, Field(min_length=1)]


class Generation(Frozen):
    """Keys under `head.generation`: how the bundle writes where a call says nothing else."""

    max_new_tokens: int = Field(128, ge=1, le=1_000_000, description="tokens of an answer, at most")
    min_new_tokens: int = Field(0, ge=0, le=1_000_000, description="tokens before an answer may end")
    temperature: float = Field(0.0, ge=0.0, le=100.0, description="0: the likeliest token; above: one is drawn")
    top_k: int = Field(50, ge=0, le=1_000_000, description="of drawing: the likeliest tokens; 0 for all")
    top_p: float = Field(1.0, gt=0.0, le=1.0, description="of drawing: the likeliest tokens of so much probability")
    min_p: float = Field(
        0.0, ge=0.0, le=1.0, description="of drawing: least probability, as a share of the likeliest's"
    )
    repetition_penalty: float = Field(1.0, gt=0.0, le=100.0, description="above 1: tokens seen before are less likely")
    no_repeat_ngram: int = Field(0, ge=0, le=1000, description="runs of so many tokens that come once at most; 0: any")
    beams: int = Field(1, ge=1, le=64, description="texts that are searched at once")
    length_penalty: float = Field(1.0, ge=-10.0, le=10.0, description="of beams: above 0 longer texts are better")
    stop: tuple[Stop, ...] = Field((), description="texts at which an answer ends")
