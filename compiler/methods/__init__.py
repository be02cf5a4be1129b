"""Adaptation methods, one module per word of `adapt.method`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..world.header import Tensor


@dataclass(frozen=True)
class Lowered:
    """What a method decides: which tensors learn, which it adds, and the record it builds from."""

    trained: frozenset[str]
    added: tuple[Tensor, ...] = ()
    record: dict[str, Any] = field(default_factory=dict)
