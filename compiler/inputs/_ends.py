"""What ends a text that a language model writes: the tokens that its folder names."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..diagnostics import At, refuse
from ..files import whole

LARGEST = 16 << 20  # bytes of a file of JSON


def ends(folder: Path, config: Mapping[str, Any], known: Mapping[str, int]) -> dict[str, Any]:
    """What is added to the record where texts are written: `end_id`, which training puts after a text, and `stop_ids`.

    The end is tokenizer_config.json's `eos_token`, else the first of config.json's; a text stops at any that is named,
    in generation_config.json too. `known` has the numbers of tokens. Raises Refused E0398 where none is named.
    """
    named = _word(_json(folder / "tokenizer_config.json").get("eos_token"))
    found = [
        *([known[named]] if named in known else ()),
        *_numbers(config.get("eos_token_id")),
        *_numbers(_json(folder / "generation_config.json").get("eos_token_id")),
    ]
    if not found:
        at = At(("backbone", "from"), "no `eos_token` here")
        help = "name it: `eos_token` in tokenizer_config.json, or `eos_token_id` in config.json"
        raise refuse("E0398", "the backbone names no token that ends a text", at=at, help=help)
    return {"end_id": found[0], "stop_ids": sorted(set(found))}


def _json(path: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(whole(path, LARGEST))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _word(value: Any) -> str:
    word = value.get("content") if isinstance(value, dict) else value
    return word if isinstance(word, str) else ""


def _numbers(value: Any) -> Iterator[int]:
    for number in value if isinstance(value, list) else [value]:
        if type(number) is int and number >= 0:
            yield number
