"""Prompts and conversations that a language model goes on from, cut into tokens by the backbone's own tokenizer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from ...runtime.prompts import Completed, Conversation
from ..contracts.input import Input
from ..contracts.options import TokenLengths
from ..contracts.reading import RowReader
from ..decision import Decided
from ..diagnostics import Diagnostic
from ..facts.rows import Unusable
from ..frozen import Frozen
from . import text
from ._ends import ends, names_of, template_of
from ._tokenizer import NAME, numbered

DEFAULT_LENGTH = 512
TEXTS = ("prompt", "completion", "text")  # roles whose cells are texts


class Options(TokenLengths, Frozen):
    """Keys under `data` for prompts."""

    max_length: int | None = Field(
        None,
        ge=4,
        le=1_000_000,
        description="tokens of a row, prompt and answer; default 512, or all positions of the backbone",
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
        "template": template_of(folder),
        "template_tokens": names_of(folder),
    }


def decided(
    options: Options, record: Mapping[str, Any], longest: int | None, usual: Decided[int] | None = None
) -> dict[str, Decided[Any]]:
    """What the options leave open; `longest` is how many positions the backbone has."""
    if options.max_length:
        return {}
    if longest and longest < DEFAULT_LENGTH:
        return {"max_length": Decided(longest, "all that the backbone has positions for")}
    return {"max_length": Decided(DEFAULT_LENGTH, "the default for prompts and answers")}


def raw(row: Mapping[str, Any], columns: Mapping[str, Any], folder: Path) -> Any:
    """The prompt of a row."""
    return row[columns["prompt"][0]]


def refusal(row: Mapping[str, Any], columns: Mapping[str, Any], folder: Path) -> Unusable | None:
    """What is wrong with the first cell that is not a text, or None."""
    return text.unusable(row, columns, TEXTS)


def measure(inputs: Iterable[Any], record: Mapping[str, Any], folder: Path) -> dict[str, float]:
    """Numbers of tokens of a sample, prompt and answer together, and the share that is cut."""
    return text.measure(map(_text, inputs), {**record, "is_pair": False}, folder)


def _text(value: Any) -> str:
    """About the text of an input; what a chat template puts around messages is left out."""
    if isinstance(value, str):
        return value
    if isinstance(value, Completed):
        return f"{value.prompt}{value.completion}"
    messages = value.messages if isinstance(value, Conversation) else value
    return "\n".join(str(message.get("content") or "") for message in messages)


def samples(seed: int, record: Mapping[str, Any]) -> list[Any]:
    """Golden prompts that hold nobody's data; of a backbone with a chat template, conversations too."""
    texts: list[Any] = text.samples(seed, {"is_pair": False})
    if not record["template"]:
        return texts
    chats = [[{"role": "user", "content": each}] for each in texts[:4]]
    return [*texts[:8], *chats]


def array(name: str, record: Mapping[str, Any]) -> dict[str, Any]:
    """Dtype and shape of an input array of the graph; words are dynamic axes."""
    return {"dtype": "int64", "shape": ["batch", "sequence"]}


def _typed(record: Mapping[str, Any]) -> str:
    """An input as a word of a command line."""
    return '"some text"'


def portable(value: Any) -> Any:
    """A raw input as JSON that holds on any machine."""
    return value


def _example(record: Mapping[str, Any]) -> str:
    """An input as Python code."""
    return '[{"role": "user", "content": "some text"}]' if record["template"] else '"some text"'


def _limits(record: Mapping[str, Any]) -> str:
    """How much of a prompt is read."""
    return f"Of a prompt beyond {record['max_length']} tokens the last are read."


def doubts(record: Mapping[str, Any], measured: Mapping[str, float], longest: int | None) -> Iterable[Diagnostic]:
    """What a sample of the training rows shows that is worth a look."""
    return text.doubts(record, measured, longest)


INPUT = Input(
    options=Options,
    feeds="text",
    arrays=text.INPUT.arrays,
    reader=RowReader(roles=("prompt",), raw=raw, refusal=refusal),
    preprocessing=preprocessing,
    decided=decided,
    misfits=lambda record, folder, backbone: text.INPUT.misfits({**record, "is_pair": False}, folder, backbone),
    problems=text.problems,
    measure=measure,
    statistics=text.INPUT.statistics,
    doubts=doubts,
    stored=text.stored,
    samples=samples,
    array=array,
    shortest=text.shortest,
    shown=("max_length",),
    typed=_typed,
    assets=text.assets,
    portable=portable,
    example=_example,
    limits=_limits,
    packages=("tokenizers",),
)
