"""Conversations in the cells of rows, and pairs of answers, of which one is preferred."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ...runtime.prompts import Completed, Conversation, Message, Preferred, tools_of
from ..facts.rows import Unusable, cell, kind_of

Messages = tuple[Message, ...]


def pair(row: Mapping[str, Any], columns: Mapping[str, Any]) -> Preferred:
    """The two answers of a row that `pair_refusal` lets pass."""
    chosen, rejected = (_answer(row[name]) for name in _names(columns))
    if isinstance(chosen, str) or isinstance(rejected, str):
        prompt = str(row[columns["prompt"][0]]) if "prompt" in columns else ""
        return Preferred(Completed(prompt, str(chosen)), Completed(prompt, str(rejected)))
    since, tools = _shared(chosen, rejected), tools_of(row.get("tools"))
    return Preferred(Conversation(chosen, tools, since), Conversation(rejected, tools, since))


def pair_refusal(row: Mapping[str, Any], columns: Mapping[str, Any]) -> Unusable | None:
    """What is wrong with a pair: a cell that is no answer, or two that are no answers to one prompt."""
    names = _names(columns)
    found = {name: _answer(row.get(name)) for name in names}
    if any(isinstance(answer, str) for answer in found.values()):
        return _of_texts(row, columns, [name for name, answer in found.items() if not isinstance(answer, str)])
    if wrong := next((wrong for name in names if (wrong := _no_conversation(name, row.get(name)))), None):
        return wrong
    return _unlike(names[1], found[names[0]], found[names[1]]) or no_tools(row)  # type: ignore[arg-type]


def _names(columns: Mapping[str, Any]) -> tuple[str, str]:
    return columns["chosen"][0], columns["rejected"][0]


def _answer(value: Any) -> str | Messages:
    """A text, or messages, which may be written as JSON; no messages for what is neither."""
    found = messages_of(value)
    if not isinstance(found, str):
        return found
    return value if isinstance(value, str) else ()


def _of_texts(row: Mapping[str, Any], columns: Mapping[str, Any], others: Sequence[str]) -> Unusable | None:
    """What is wrong with two answers of which one at least is a text; `others` are those that are none."""
    for name in _names(columns):
        if name not in others and (wrong := cell(row, name)):
            return wrong
    if others:
        value = row.get(others[0])
        return cell(row, others[0]) if value is None else Unusable(others[0], "is no text, and its pair is one")
    prompt = columns.get("prompt", ("",))[0]
    return cell(row, prompt) if prompt and not isinstance(row.get(prompt), str) else None


def _no_conversation(name: str, value: Any) -> Unusable | None:
    found = messages_of(value)
    return (
        Unusable(name, found, "an answer is a text, or a list of {role, content}") if isinstance(found, str) else None
    )


def _unlike(name: str, chosen: Messages, rejected: Messages) -> Unusable | None:
    """What is wrong with two conversations that should differ in their last turns alone."""
    if any(messages[-1]["role"] != "assistant" for messages in (chosen, rejected)):
        last = f"they end with {chosen[-1]['role']} and {rejected[-1]['role']}"
        return Unusable(name, "and its pair don't both end with a message of the assistant", last[:200])
    if not _shared(chosen, rejected):
        return Unusable(name, "and its pair have no beginning in common", "what both begin with is the prompt")
    return None


def _shared(chosen: Messages, rejected: Messages) -> int:
    """The number of messages that both begin with, without the last turn of the assistant in either."""
    most = min(len(chosen), len(rejected)) - 1
    alike = next((i for i in range(most) if chosen[i] != rejected[i]), most)
    while alike and chosen[alike - 1]["role"] == "assistant":  # an answer of several messages begins before
        alike -= 1
    return alike


def no_tools(row: Mapping[str, Any]) -> Unusable | None:
    """What is wrong with the tools beside a row's messages."""
    try:
        tools_of(row.get("tools"))
    except ValueError:
        value = row["tools"]
        wrong = "is text, not tools" if isinstance(value, str) else f"is {kind_of(value)}, not tools"
        return Unusable("tools", wrong, "tools are a list of objects")
    return None


def messages_of(value: Any) -> tuple[Mapping[str, Any], ...] | str:
    """The messages of a cell, which may be JSON; or why it can't be used."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return "is text, not messages"
    if not isinstance(value, list | tuple) or not all(isinstance(each, Mapping) for each in value):
        return f"is {kind_of(value)}, not messages"
    if not value:
        return "holds no message"
    for number, message in enumerate(value, 1):
        if not isinstance(message.get("role"), str) or not message["role"]:
            return f"has no `role` in message {number}"
        if not isinstance(message.get("content"), str) and not message.get("tool_calls"):
            return f"has no text in `content` of message {number}"
    if not any(message["role"] == "assistant" for message in value):
        return "has no message of the assistant, so nothing is learned of it"
    return tuple(value)
