"""Chat templates: conversations as the text that a language model reads.

Templates are Jinja in the dialect of transformers; minijinja renders them, which runs no Python.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ..prompts import Message

FUEL = 10_000_000  # steps of a rendering, which a template could make endless
WIDEST = 16  # characters of a level of JSON, at most


class ChatTemplate:
    """A template with the special tokens that it names, `bos_token` and their like.

    Raises ValueError for a template that can't be read.
    """

    def __init__(self, source: str, tokens: Mapping[str, str]) -> None:
        from minijinja import Environment, TemplateError

        self.error, self.tokens = TemplateError, dict(tokens)
        self.environment = Environment(trim_blocks=True, lstrip_blocks=True, pycompat=True, fuel=FUEL)
        self.environment.auto_escape_callback = _never
        self.environment.add_global("raise_exception", _raise)
        self.environment.add_filter("tojson", _json)
        try:
            self.environment.add_template("chat", source)
        except TemplateError as error:
            raise ValueError(f"the chat template can't be read: {_first(error)}") from None

    def text(self, messages: Sequence[Message], tools: Any = None, *, is_prompt: bool) -> str:
        """The text of a conversation, up to where the model answers if `is_prompt`.

        Raises ValueError where the template refuses it.
        """
        given = {"messages": list(messages), "tools": tools, "add_generation_prompt": is_prompt, **self.tokens}
        try:
            found: str = self.environment.render_template("chat", **given)
        except (self.error, ValueError, TypeError) as error:
            raise ValueError(f"the chat template refuses the conversation: {_first(error)}") from None
        return found


def _never(name: str) -> bool:
    return False


def _raise(message: str) -> str:
    raise ValueError(message)


def _json(value: Any, indent: int | str | None = None, **other: Any) -> str:
    """JSON as transformers' filter writes it; raises ValueError for an indent or separators without bound."""
    wide = [indent if isinstance(indent, int) else len(indent or ""), *map(len, other.get("separators") or ())]
    if max(wide) > WIDEST:
        raise ValueError(f"`tojson` indents and separates by at most {WIDEST} characters")
    return json.dumps(
        value,
        ensure_ascii=other.get("ensure_ascii", False),
        indent=indent,
        separators=other.get("separators"),
        sort_keys=other.get("sort_keys", False),
    )


def _first(error: Exception) -> str:
    return (str(error).strip().splitlines() or ["no reason given"])[0][:300]
