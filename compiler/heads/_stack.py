"""Shared parts of heads that are a stack of linear layers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field

Width = Annotated[int, Field(ge=1, le=1 << 20)]  # the width of a hidden layer
Start = Literal["fitted", "random"] | None
STARTS = (
    "weights of the head at the first step: fitted to the features of the untouched backbone, or random; default "
    "fitted where the method leaves these features as they are and the head is one linear layer"
)


def count(width: int, hidden: Sequence[int], outputs: int) -> int:
    """The number of parameters of the layers, with biases."""
    return sum(a * b + b for a, b in pairwise((width, *hidden, outputs)))
