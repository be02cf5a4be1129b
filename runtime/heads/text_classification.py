"""Decodes text-classification: logits over labels become labels with scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..labels import HEAD, decode
from ..labels import Classification as Answer

__all__ = ["HEAD", "LABELLED", "OPTIONS", "Answer", "decode", "is_several"]

LABELLED = ("label",)  # fields of an answer that hold a label of the head
OPTIONS = {"top_k": ("int", "tuple[Answer, ...]")}  # keyword arguments of decode: type, and what one input then gets


def is_several(head: Mapping[str, Any]) -> bool:
    """Whether one input gets a tuple of answers."""
    return bool(head["is_multi"])
