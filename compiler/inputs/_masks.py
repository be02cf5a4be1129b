"""Reads the mask token and the special tokens of a tokenizer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..diagnostics import At, refuse
from ..files import whole

LARGEST = 256 << 20  # the most bytes of a tokenizer's file
USUAL = ("[MASK]", "<mask>")  # tried where tokenizer_config.json names no mask token


def special(folder: Path) -> dict[str, Any]:
    """Fields for the record of joined texts: the ids of special tokens."""
    return {"special_ids": _added(folder)[1]}


def masking(folder: Path) -> dict[str, Any]:
    """Fields for the record of masked texts: the mask token and the ids of special tokens.

    Raises Refused E0390 for a tokenizer without a mask token.
    """
    known, special = _added(folder)
    word = next((word for word in (_named(folder), *USUAL) if word in known), None)
    if word is None:
        at = At(("backbone", "from"), "its tokenizer.json adds no such token")
        help = "choose a backbone that learned to fill in masked words, such as one of the family `bert`"
        raise refuse("E0390", "the backbone's tokenizer has no token that masks a word", at=at, help=help)
    return {"mask_token": word, "mask_id": known[word], "special_ids": sorted({*special, known[word]})}


def _added(folder: Path) -> tuple[dict[str, int], list[int]]:
    """(ids of tokens added to the vocabulary, ids of the special ones among them)."""
    try:
        added = json.loads(whole(folder / "tokenizer.json", LARGEST))["added_tokens"] or []
        special = sorted(int(token["id"]) for token in added if token.get("special"))
        return {str(token["content"]): int(token["id"]) for token in added}, special
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}, []


def _named(folder: Path) -> str | None:
    try:
        word = json.loads(whole(folder / "tokenizer_config.json", LARGEST))["mask_token"]
        word = word["content"] if isinstance(word, dict) else word
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return word if isinstance(word, str) else None
