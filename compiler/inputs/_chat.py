"""What a language model's folder says of chatting: the tokens that end a text, and its chat template."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ..diagnostics import At, Refused, Status, refuse
from ..extras import installing
from ..files import whole

LARGEST = 16 << 20  # bytes of a file of JSON, or of a template
NAMED = ("bos_token", "eos_token", "unk_token", "pad_token")


class Whose(NamedTuple):
    """The owner of a template that can't be used, as parts of a diagnostic."""

    at: At
    headline: str
    help: str


OF_BACKBONE = Whose(
    At(("backbone", "from")),
    "the backbone's chat template can't be used",
    "mend chat_template.jinja, copy the backbone again, or name a template of your own: `template` under `head`",
)
OWN = Whose(At(("head", "template")), "the chat template can't be used", "mend the file, as the note says")


def ends(folder: Path, config: Mapping[str, Any], known: Mapping[str, int]) -> dict[str, Any]:
    """What is added to the record where texts are written: `end_id`, which training puts after a text, and `stop_ids`.

    The end is tokenizer_config.json's `eos_token`, else the first of config.json's; a text stops at any that is named,
    in generation_config.json too. `known` has the numbers of tokens. Raises Refused E0398 where none is named.
    """
    named = _word(_json(folder / "tokenizer_config.json").get("eos_token"))
    found = [
        *([known[named]] if named in known else ()),
        *_numbers(config.get("eos_token_id")),
        *_numbers(generation(folder).get("eos_token_id")),
    ]
    most = max(known.values(), default=-1)
    found = [number for number in found if number <= most]  # a configuration's default may be none of its tokens
    if not found:
        at = At(("backbone", "from"), "no `eos_token` here")
        help = "name it: `eos_token` in tokenizer_config.json, or `eos_token_id` in config.json"
        raise refuse("E0398", "the backbone names no token that ends a text", at=at, help=help)
    return {"end_id": found[0], "stop_ids": sorted(set(found))}


def generation(folder: Path) -> Mapping[str, Any]:
    """generation_config.json, empty where the folder has none that can be read."""
    return _json(folder / "generation_config.json")


def tokenizer_class(folder: Path) -> str:
    """The name of transformers' tokenizer for the folder, empty where tokenizer_config.json has none."""
    return _word(_json(folder / "tokenizer_config.json").get("tokenizer_class"))


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


def chat_template(folder: Path, own: str | None, *, is_needed: bool) -> dict[str, Any]:
    """The part of the record for conversations: `template`, None where there is none, and `template_tokens`.

    `own` is a template that takes the place of the folder's. Raises Refused E0399 for a template that can't be read,
    and where one `is_needed` and there is none; E0409 where minijinja is missing.
    """
    said = _json(folder / "tokenizer_config.json")
    template = _template(folder, said) if own is None else own
    tokens = {key: word for key in NAMED if (word := _word(said.get(key)))}
    if template is not None:
        _require_readable(template, tokens, OF_BACKBONE if own is None else OWN)
    elif is_needed:
        raise no_template("messages")
    return {"template": template, "template_tokens": tokens}


def no_template(role: str) -> Refused:
    """E0399, where the column of a role has conversations and the backbone has no chat template."""
    at = At(("data", "columns", role), "are rendered by a chat template")
    other = "learn from `prompt` and `completion`" if role == "messages" else "give texts"
    help = f"name one of your own, `template: chat.jinja` under `head`, or {other}"
    return refuse("E0399", "the backbone has no chat template", at=at, help=help)


def _template(folder: Path, said: Mapping[str, Any]) -> str | None:
    """The text of chat_template.jinja, else what tokenizer_config.json has."""
    own = folder / "chat_template.jinja"
    if own.is_file():
        try:
            return whole(own, LARGEST).decode("utf-8")
        except (OSError, ValueError) as error:
            raise _unreadable(str(error), OF_BACKBONE) from None
    found = said.get("chat_template")
    if isinstance(found, list):  # several by name, of which `default` is for chatting
        named = {each.get("name"): each.get("template") for each in found if isinstance(each, dict)}
        found = named.get("default")
    return found if isinstance(found, str) else None


def _require_readable(template: str, tokens: Mapping[str, str], whose: Whose) -> None:
    from ...runtime.generation.templates import ChatTemplate

    try:
        ChatTemplate(template, tokens)
    except ValueError as error:
        raise _unreadable(str(error), whose) from None
    except ModuleNotFoundError:
        headline = "reading a chat template needs minijinja"
        raise refuse("E0409", headline, help=installing("chat"), status=Status.MACHINE) from None


def _unreadable(note: str, whose: Whose) -> Refused:
    return refuse("E0399", whose.headline, note[:300], at=whose.at, help=whose.help)
