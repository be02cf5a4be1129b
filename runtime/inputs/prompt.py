"""Prompts and conversations of language models, and in training the texts that go on from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..generation.templates import ChatTemplate
from ..given import named
from ..prompts import Completed, Conversation, Message, Preferred, tools_of
from ..rows import Rows
from ..shape import ANY, FILE
from . import Preprocessing
from ._tokens import answered, padded, tokenizer_of

Row = dict[str, np.ndarray]
Span = tuple[int, int]  # characters of a text, the second not included
RECORD = {  # the shape of the manifest's `preprocessing`
    "tokenizer": FILE,
    "max_length": range(1, 1 << 24),
    "pad_id": range(1 << 31),
    "end_id": range(1 << 31),
    "stop_ids": [range(1 << 31)],
    "positions": (None, range(1, 1 << 24)),
    "template": (None, str),
    "template_tokens": {ANY: str},
    "?is_chat": bool,
}
# put into what users write where it looks like a special token; Unicode keeps it free for such use, so no text has it
MARK = "\ufdd0"


class Preprocessor:
    """Makes rows of prompts (texts), of conversations (lists of messages), and of what is to be learned.

    A prompt keeps its last `max_length` tokens, what is learned its first.
    """

    budget = 512  # tokens in a batch, padding included

    def __init__(self, record: Mapping[str, Any], folder: Path) -> None:
        self.record, file = record, folder / record["tokenizer"]
        self.plain, self.whole = tokenizer_of(file), tokenizer_of(file)
        self.plain.encode_special_tokens = True  # it takes what looks like a special token as words, the other obeys it
        template, tokens = record["template"], record["template_tokens"]
        self.template = ChatTemplate(template, tokens) if template else None
        added = self.whole.get_added_tokens_decoder().values()
        self.special = sorted({token.content for token in added if token.special}, key=len, reverse=True)

    def is_one(self, value: Any) -> bool:
        """Whether a sequence is one input: a list of messages is."""
        messages = value if isinstance(value, list | tuple) else ()
        return bool(messages) and all(isinstance(each, Mapping) and "role" in each for each in messages)

    def check(self, value: Any) -> str | None:
        """Why `value` is not a usable input, or None."""
        if isinstance(value, str):
            return _broken(value)
        if isinstance(value, Completed):
            return _broken(value.prompt + value.completion)
        if isinstance(value, Preferred):
            return self.check(value.chosen) or self.check(value.rejected)
        messages = _messages(value)
        if not isinstance(messages, list | tuple) or not messages or not all(isinstance(m, Mapping) for m in messages):
            return f"expected a text or a list of messages, not {named(value)}"
        if self.template is None:
            return "the backbone has no chat template, so it reads texts alone"
        try:
            _tools(value)
        except ValueError as error:
            return str(error)
        return next(filter(None, (_odd(i, message) for i, message in enumerate(messages, 1))), None)

    def rows(self, inputs: Sequence[Any]) -> Rows:
        """Rows of arrays (tokens,): `input_ids`, and `learned`, which is 1 where a token is to be learned.

        Raises ValueError with a short reason for an input that can't be used, and where nothing is left to be learned.
        """
        features: list[Row] = []
        owners: list[int] = []
        for owner, value in enumerate(inputs):
            if reason := self.check(value):
                raise ValueError(reason)
            made = self._made(value)
            features += made
            owners += [owner] * len(made)
        return Rows(inputs, features, np.array(owners, np.int64), self.whole)

    def collate(self, rows: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
        """A batch of int64 arrays of shape (rows, longest), padded on the right."""
        return padded(rows, self.record["pad_id"])

    def _made(self, value: Any) -> list[Row]:
        if isinstance(value, str):
            return [self._prompt(answered(self.plain.encode, value).ids)]
        if isinstance(value, Completed):
            return [self._completed(value)]
        if isinstance(value, Preferred):
            return [self._answer(value.chosen), self._answer(value.rejected)]
        if isinstance(value, Conversation):
            return [self._learned(*self._encoded(text), spans) for text, spans in self._turns(value)]
        return [self._prompt(self._encoded(self._text(_messages(value), _tools(value), is_prompt=True))[0])]

    def _answer(self, value: Completed | Conversation) -> Row:
        """The one row of an answer of a pair."""
        made = self._made(value)
        if len(made) > 1:
            raise ValueError("the chat template renders earlier turns otherwise, so an answer must be a single turn")
        return made[0]

    def _prompt(self, ids: Sequence[int]) -> Row:
        most = self.record["max_length"]
        return _row(list(ids)[-most:] or [self.record["end_id"]])  # a model needs something to go on from

    def _completed(self, value: Completed) -> Row:
        text, end = value.prompt + value.completion, self.record["end_id"]
        encoding, first, last = answered(self.plain.encode, text), len(value.prompt), len(text)
        # what the tokenizer puts around a text is none of it
        of_text = zip(encoding.offsets, encoding.sequence_ids, strict=True)
        ids, places = list(encoding.ids), [at if sequence is not None else (-1, -1) for at, sequence in of_text]
        if ids and ids[-1] == end:
            places[-1] = (last, last + 1)
        else:
            ids, places = [*ids, end], [*places, (last, last + 1)]
        return self._learned(ids, places, [(first, last + 1)])

    def _learned(self, ids: Sequence[int], places: Sequence[Span], spans: Sequence[Span]) -> Row:
        """A row of which the tokens with a character in one of `spans` are learned."""
        most = self.record["max_length"]
        learned = [any(at < last and end > first for first, last in spans) for at, end in places]
        if not any(learned[1:most]):
            raise ValueError(f"nothing that is to be learned is left within `max_length: {most}` tokens")
        return {**_row(ids[:most]), "learned": np.array(learned[:most], np.int8)}

    def _turns(self, value: Conversation) -> list[tuple[str, list[Span]]]:
        """Texts with the spans of the assistant's turns: one for all, or one for each where later turns change it."""
        found: list[tuple[str, Span]] = []
        for i, message in enumerate(value.messages):
            if message["role"] == "assistant" and i >= value.since:
                asked = self._text(value.messages[:i], value.tools, is_prompt=True)
                text = self._text(value.messages[: i + 1], value.tools, is_prompt=False)
                if not text.startswith(asked):
                    raise ValueError(f"the chat template renders message {i + 1} otherwise than it asks for it")
                found.append((text, (len(asked), self._end(text, len(asked)))))
        if not found:
            raise ValueError("no message is the assistant's, so there is nothing to learn")
        whole = self._text(value.messages, value.tools, is_prompt=False)
        if all(whole.startswith(text[:last]) for text, (_, last) in found):
            return [(whole, [span for _, span in found])]
        return [(text, [span]) for text, span in found]

    def _end(self, text: str, first: int) -> int:
        """Where a turn ends: after the last token that stops an answer, else where the text does."""
        stops = [self.whole.id_to_token(id) for id in self.record["stop_ids"]]
        ends = [at + len(stop) for stop in stops if stop and (at := text.rfind(stop, first)) >= 0]
        return max(ends, default=len(text))

    def _text(self, messages: Sequence[Message], tools: Any, *, is_prompt: bool) -> str:
        assert self.template is not None
        return self.template.text(self._marked(list(messages)), self._marked(tools), is_prompt=is_prompt)

    def _marked(self, value: Any) -> Any:
        """What users write, in whose texts what looks like a special token is marked as none: roles and tools, too."""
        if isinstance(value, Mapping):
            return {self._marked(key): self._marked(each) for key, each in value.items()}
        if isinstance(value, list | tuple):
            return [self._marked(each) for each in value]
        if isinstance(value, str):
            for token in self.special:
                value = value.replace(token, f"{token[0]}{MARK}{token[1:]}")
        return value

    def _encoded(self, text: str) -> tuple[list[int], list[Span]]:
        """Tokens of a rendered conversation, which has its special tokens in it, and the characters of each."""
        if MARK not in text:
            encoding = answered(partial(self.whole.encode, add_special_tokens=False), text)
            return encoding.ids, encoding.offsets
        ids: list[int] = []
        places: list[Span] = []
        for at, part, is_special in _parts(text, self.special):
            if is_special:
                ids, places = [*ids, self.whole.token_to_id(part)], [*places, (at, at + len(part))]
                continue
            encoding = answered(partial(self.plain.encode, add_special_tokens=False), part.replace(MARK, ""))
            ids += encoding.ids
            places += [
                (at + _with_marks(part, first), at + _with_marks(part, last)) for first, last in encoding.offsets
            ]
        return ids, places


def _parts(text: str, special: Sequence[str]) -> list[tuple[int, str, bool]]:
    """A text cut at its special tokens: where each part begins, the part, and whether it is such a token."""
    found, at = [], 0
    while at < len(text):
        hits = [(place, -len(token), token) for token in special if (place := text.find(token, at)) >= 0]
        place, _, token = min(hits, default=(len(text), 0, ""))
        found += [(at, text[at:place], False)] if place > at else []
        found += [(place, token, True)] if token else []
        at = place + len(token)
    return found


def _with_marks(part: str, place: int) -> int:
    """Where a character stands in a text that has marks, from its place without them."""
    at = -1
    for _ in range(place):
        at += 1
        while part[at] == MARK:
            at += 1
    return at + 1


def _messages(value: Any) -> Any:
    """The messages of a conversation: a list of them, or an object with `messages` and `tools`."""
    if isinstance(value, Mapping):
        return value.get("messages")
    return value.messages if isinstance(value, Conversation) else value


def _tools(value: Any) -> list[Any] | None:
    """The tools of a conversation; raises ValueError for what is none."""
    if isinstance(value, Mapping):
        return tools_of(value.get("tools"))
    return tools_of(value.tools) if isinstance(value, Conversation) else None


def _odd(number: int, message: Message) -> str | None:
    """What is wrong with a message, or None."""
    if not isinstance(message.get("role"), str) or not message["role"]:
        return f"message {number} has no `role`"
    content = message.get("content")
    if not isinstance(content, str) and not (content is None and message.get("tool_calls")):
        return f"`content` of message {number} is {named(content)}, not a text"
    return _broken(content or "")


def _broken(text: str) -> str | None:
    if MARK in text:
        return "holds U+FDD0, which is no character"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "holds a lone surrogate, which is not text"
    return None


def _row(ids: Sequence[int]) -> Row:
    return {"input_ids": np.array(ids, np.int64), "token_type_ids": np.zeros(len(ids), np.int64)}


def annotation(record: Mapping[str, Any]) -> str:
    """The type of one input, for generated wrappers."""
    return "str | list[dict[str, Any]] | dict[str, Any]" if record["template"] else "str"


def many(record: Mapping[str, Any]) -> str:
    """The type of many inputs, for generated wrappers."""
    return "list[str] | list[list[dict[str, Any]]]" if record["template"] else "list[str] | tuple[str, ...] | Array"


def from_words(words: Sequence[str], record: Mapping[str, Any]) -> list[Any]:
    """A prompt from each word of a command line; of a model that learned conversations, what a user says."""
    if record.get("is_chat"):
        return [[{"role": "user", "content": word}] for word in words]
    return list(words)


def from_row(row: Mapping[str, Any]) -> Any:
    """What a row of prompts asks: its `prompt`, or its `messages` up to the last answer, with its `tools`."""
    messages = row.get("messages")
    if isinstance(messages, list) and all(isinstance(each, Mapping) for each in messages):
        last = next((i for i in range(len(messages), 0, -1) if messages[i - 1].get("role") != "assistant"), 0)
        return {"messages": messages[:last], "tools": row["tools"]} if row.get("tools") else messages[:last]
    return row.get("prompt")


PREPROCESSING = Preprocessing(
    record=RECORD,
    requires=lambda record: ("tokenizers", *(("minijinja",) if record["template"] else ())),
    preprocessor=Preprocessor,
    from_words=from_words,
    from_row=from_row,
    input_help="a prompt; of a model that learned conversations, what the user says",
    annotation=annotation,
    many=many,
)
