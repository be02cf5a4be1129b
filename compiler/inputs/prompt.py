"""Prompts and conversations that a language model goes on from, cut into tokens by the backbone's own tokenizer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from ...runtime.prompts import Completed, Conversation, Preferred, tools_of
from ..contracts.input import Input
from ..contracts.options import Packable
from ..contracts.reading import RowReader
from ..decision import Decided
from ..facts.rows import Unusable, cell
from ..frozen import Frozen
from . import text
from ._chat import chat_template, ends, no_template
from ._conversations import messages_of, no_tools, pair, pair_refusal
from ._tokenizer import NAME, misfits, numbered

DEFAULT_LENGTH = 512


class Options(Packable, Frozen):
    """Keys under `data` for prompts."""

    max_length: int | None = Field(
        None,
        ge=4,
        le=1_000_000,
        description="tokens of a row, prompt and answer; default 512, or all positions of the backbone",
    )
    packing: bool = Field(
        False, description="rows of a training step share blocks of at most `max_length` tokens; none sees another"
    )


def preprocessing(
    folder: Path,
    config: Mapping[str, Any],
    options: Options,
    longest: int | None,
    columns: Mapping[str, Any],
    usual: Decided[int] | None = None,
) -> dict[str, Any]:
    """The record that plan, training and bundle share.

    Raises Refused E0306 when the backbone has no readable tokenizer.json, E0398 when it names no end of a text.
    """
    length = options.max_length or decided(options, {}, longest, usual)["max_length"].value
    record = text.preprocessing(folder, config, text.Options(max_length=length), longest, {}, None)
    known = numbered(folder / NAME, record["assets"][NAME])
    return {
        **{key: record[key] for key in ("tokenizer", "assets", "max_length", "pad_id")},
        "modality": "prompt",
        "positions": longest,
        **ends(folder, config, known),
    }


def template(folder: Path, own: str | None, columns: Mapping[str, Any]) -> dict[str, Any]:
    """The record's part for conversations; raises Refused E0399 where no template can be used, or none for messages.

    `is_chat` says whether conversations are learned: what learned from prompts is asked prompts.
    """
    found = chat_template(folder, own, is_needed="messages" in columns)
    is_learned = "messages" in columns or ("chosen" in columns and "prompt" not in columns)
    return {**found, "is_chat": is_learned and found["template"] is not None}


def decided(
    options: Options, record: Mapping[str, Any], longest: int | None, usual: Decided[int] | None = None
) -> dict[str, Decided[Any]]:
    """The length of rows, where the options leave it open; `longest` is the backbone's number of positions."""
    if options.max_length:
        return {}
    return {"max_length": text.default_length(longest, DEFAULT_LENGTH, "prompts and answers")}


def raw(row: Mapping[str, Any], columns: Mapping[str, Any], folder: Path) -> Completed | Conversation | Preferred:
    """Two answers, a conversation, or a prompt and its completion; a text alone goes on from nothing."""
    if "chosen" in columns:
        return pair(row, columns)
    if "messages" in columns:
        found = messages_of(row[columns["messages"][0]])
        assert not isinstance(found, str)
        return Conversation(found, tools_of(row.get("tools")))
    if "text" in columns:
        return Completed("", str(row[columns["text"][0]]))
    return Completed(str(row[columns["prompt"][0]]), str(row[columns["completion"][0]]))


def refusal(row: Mapping[str, Any], columns: Mapping[str, Any], folder: Path) -> Unusable | None:
    """What is wrong with the first cell that can't be used, or None."""
    if "chosen" in columns:
        return pair_refusal(row, columns)
    for name in columns.get("messages", ()):
        if isinstance(found := messages_of(row.get(name)), str):
            return Unusable(name, found, "messages are a list of {role, content}")
    if "messages" in columns and (wrong := no_tools(row)):
        return wrong
    for role in ("completion", "text"):
        for name in columns.get(role, ()):
            if wrong := cell(row, name):
                return wrong
    for name in columns.get("prompt", ()):
        if not isinstance(row.get(name), str):
            return cell(row, name)
    return None


def measure(inputs: Iterable[Any], record: Mapping[str, Any], folder: Path) -> dict[str, float]:
    """Numbers of tokens of a sample, prompt and answer together, and the share that is cut.

    Raises Refused E0399 for pairs of conversations where the backbone has no chat template.
    """
    given = tuple(inputs)
    if record["template"] is None and any(isinstance(getattr(each, "chosen", None), Conversation) for each in given):
        raise no_template("chosen")
    return text.measure(map(_text, given), record, folder)


def _text(value: Any) -> str:
    """About the text of an input; what a chat template puts around messages is left out."""
    if isinstance(value, str):
        return value
    if isinstance(value, Preferred):
        return max(_text(value.chosen), _text(value.rejected), key=len)
    if isinstance(value, Completed):
        return f"{value.prompt}{value.completion}"
    messages = value.messages if isinstance(value, Conversation) else value
    return "\n".join(str(message.get("content") or "") for message in messages)


def samples(seed: int, record: Mapping[str, Any]) -> list[Any]:
    """Golden prompts that hold nobody's data, and conversations where the chat template takes them."""
    texts: list[Any] = text.samples(seed, {"is_pair": False})
    chats = [[{"role": "user", "content": each}] for each in texts[:4]]
    if not record.get("is_chat") or not _takes(record, chats[0]):
        return texts
    return [*texts[:8], *chats]


def _takes(record: Mapping[str, Any], messages: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the chat template renders a conversation: some want a system message, or tools."""
    from ...runtime.generation.templates import ChatTemplate

    try:
        return bool(ChatTemplate(record["template"], record["template_tokens"]).text(messages, is_prompt=True))
    except ValueError:
        return False


def asked(value: Any) -> Any:
    """What a bundle is asked of a row: its prompt, or its conversation up to the last answer."""
    if isinstance(value, Preferred):
        return asked(value.chosen)
    if isinstance(value, Completed):
        return value.prompt
    last = max(i for i, message in enumerate(value.messages) if message["role"] == "assistant")
    messages = [dict(message) for message in value.messages[:last]]
    return {"messages": messages, "tools": value.tools} if value.tools else messages


def beside(record: Mapping[str, Any]) -> dict[str, str]:
    """The chat template as transformers' tokenizers read it, the backbone's or the spec's own."""
    return {"chat_template.jinja": record["template"]} if record["template"] else {}


def _typed(record: Mapping[str, Any]) -> str:
    """An input as a word of a command line."""
    return '"some text"'


def _example(record: Mapping[str, Any]) -> str:
    """An input as Python code."""
    return '[{"role": "user", "content": "some text"}]' if record["is_chat"] else '"some text"'


def _limits(record: Mapping[str, Any]) -> str:
    """How much of a prompt is read."""
    return f"Of a prompt beyond {record['max_length']} tokens the last are read."


INPUT = Input(
    options=Options,
    feeds="text",
    arrays=text.INPUT.arrays,
    reader=RowReader(
        roles=("prompt", "rejected"),
        optional=("prompt", "messages", "text", "chosen", "rejected"),
        raw=raw,
        refusal=refusal,
    ),
    preprocessing=preprocessing,
    decided=decided,
    template=template,
    misfits=misfits,
    problems=text.problems,
    measure=measure,
    statistics=text.INPUT.statistics,
    doubts=text.doubts,
    stored=text.stored,
    samples=samples,
    array=text.array,
    shortest=text.shortest,
    shown=("max_length",),
    typed=_typed,
    assets=text.assets,
    beside=beside,
    portable=text.portable,
    asked=asked,
    example=_example,
    limits=_limits,
    packages=("tokenizers",),
)
