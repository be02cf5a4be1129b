"""A value that the spec left open, with what decided it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Decided(Generic[T]):
    """A value and the reason for it, made where the decision is made; no reason where the spec itself decides."""

    value: T
    because: str = ""
