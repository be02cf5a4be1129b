"""What ends a text that a language model writes: the tokens that its folder names."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..diagnostics import At, refuse
from ..files import whole

LARGEST = 16 << 20  # bytes of a file of JSON, or of a template
NAMED = ("bos_token", "eos_token", "unk_token", "pad_token")


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
    most = max(known.values(), default=-1)
    found = [number for number in found if number <= most]  # a configuration's default may be none of its tokens
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


def template_of(folder: Path) -> str | None:
    """The backbone's chat template, from chat_template.jinja or tokenizer_config.json; None where it has none."""
    own = folder / "chat_template.jinja"
    if own.is_file():
        return whole(own, LARGEST).decode("utf-8")
    found = _json(folder / "tokenizer_config.json").get("chat_template")
    if isinstance(found, list):  # several by name, of which `default` is for chatting
        found = next(
            (each.get("template") for each in found if isinstance(each, dict) and each.get("name") == "default"), None
        )
    return found if isinstance(found, str) else None


def names_of(folder: Path) -> dict[str, str]:
    """The special tokens that templates speak of by name, such as `bos_token`."""
    said = _json(folder / "tokenizer_config.json")
    return {key: word for key in NAMED if (word := _word(said.get(key)))}
