"""A value that the spec left open, with the reason for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Decided(Generic[T]):
    """A decided value and its reason; the reason is empty where the spec itself decides."""

    value: T
    because: str = ""
