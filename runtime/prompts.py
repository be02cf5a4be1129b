"""What a language model goes on from or reads, and in training what it is to write."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Message = Mapping[str, Any]  # `role`, `content` and what else a chat template reads


@dataclass(frozen=True)
class Completed:
    """A prompt and what goes on from it, to be learned."""

    prompt: str
    completion: str


@dataclass(frozen=True)
class Conversation:
    """Messages of which the assistant's are to be learned, and the tools that it had.

    Those before the message of number `since` are what is answered: nothing of them is learned.
    """

    messages: tuple[Message, ...]
    tools: Any = None
    since: int = 0


@dataclass(frozen=True)
class Preferred:
    """Two answers to what both begin with: the better one, and the other."""

    chosen: Completed | Conversation
    rejected: Completed | Conversation


@dataclass(frozen=True)
class Written:
    """A source, and the target that is to be learned of it."""

    source: str
    target: str


def tools_of(value: Any) -> list[Any] | None:
    """The tools of a conversation, a list of objects that may be written as JSON; None for none.

    Raises ValueError for anything else.

    >>> tools_of('[{"name": "clock"}]'), tools_of("")
    ([{'name': 'clock'}], None)
    """
    if isinstance(value, str) and value.strip():
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise ValueError("`tools` is text, not a list of objects") from None
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if not isinstance(value, list | tuple) or not all(isinstance(each, Mapping) for each in value):
        raise ValueError("`tools` is no list of objects")
    return list(value)
