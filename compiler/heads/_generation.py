"""Keys of heads that write texts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import Field

from ...runtime.generation.options import NOT_ZERO, RANGES, WHOLE, conflicts
from ..diagnostics import At, Diagnostic
from ..frozen import Frozen

Stop = Annotated[str, Field(min_length=1)]


def _key(name: str, default: Any, description: str) -> Any:
    """A key with the range that calls have."""
    bounds: Mapping[str, tuple[int, int | None]] = {**RANGES, **WHOLE}
    least, most = (None if bound is None else type(default)(bound) for bound in bounds[name])
    is_open = name in NOT_ZERO
    return Field(
        default, gt=least if is_open else None, ge=None if is_open else least, le=most, description=description
    )


class Generation(Frozen):
    """Keys under `head.generation`: how the bundle writes where a call says nothing else."""

    max_new_tokens: int = _key("max_new_tokens", 128, "tokens of an answer, at most")
    min_new_tokens: int = _key("min_new_tokens", 0, "tokens before an answer may end")
    temperature: float = _key("temperature", 0.0, "0: the likeliest token; above: one is drawn")
    top_k: int = _key("top_k", 50, "of drawing: the likeliest tokens; 0 for all")
    top_p: float = _key("top_p", 1.0, "of drawing: the likeliest tokens of so much probability")
    min_p: float = _key("min_p", 0.0, "of drawing: least probability, as a share of the likeliest's")
    repetition_penalty: float = _key("repetition_penalty", 1.0, "above 1: tokens seen before are less likely")
    no_repeat_ngram: int = _key("no_repeat_ngram", 0, "runs of so many tokens that come once at most; 0: any")
    beams: int = _key("beams", 1, "texts that are searched at once")
    length_penalty: float = _key("length_penalty", 1.0, "of beams: above 0 longer texts are better")
    stop: tuple[Stop, ...] = Field((), description="texts at which an answer ends")


def contradictions(keys: Generation) -> Iterator[Diagnostic]:
    """Errors for keys that exclude each other; a call with them would be refused."""
    for found in conflicts(keys.model_dump()):
        also = (At(("head", "generation", found.other)),) if found.other in keys.model_fields_set else ()
        yield Diagnostic("E0209", found.message, At(("head", "generation", found.option)), also, help=found.help)
