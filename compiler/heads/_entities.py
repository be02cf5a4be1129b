"""Reads the words of a row and its entities, from tags or from spans in a text."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..contracts.options import Labelled
from ..diagnostics import clean, quote
from ..facts.rows import Unusable, kind_of
from ._labels import label_word, names
from ._lists import listed
from ._tags import Broken, read, types

if TYPE_CHECKING:
    from ...runtime.spans import Span

NAMED = "write the names of the tags in the order of their numbers: `head: {labels: [O, B-…, I-…]}`"


def spelt(written: Any, row: Mapping[str, Any], columns: Mapping[str, Any]) -> Mapping[str, Any]:
    """A row with words and tags as lists of texts: cells of tables hold lists as text, and tags may be numbers.

    `written` holds the names of numbered tags: the options, or the record.
    """
    if "tags" not in columns:
        return row
    (words,), (tags,) = columns["tokens"], columns["tags"]
    found = {name: listed(value) for name in (words, tags) if isinstance(value := row.get(name), str)}
    whole = {**row, **{name: list(value) for name, value in found.items() if value is not None}} if found else row
    numbers = whole.get(tags)
    if not isinstance(numbers, list | tuple) or not numbers or type(numbers[0]) is not int:
        return whole
    if isinstance(written, Mapping):
        named = written.get("names", ())
    else:
        named = names(written.labels if isinstance(written, Labelled) else None)
    if not types(named) or not all(type(tag) is int and 0 <= tag < len(named) for tag in numbers):
        return whole
    return {**whole, tags: [named[tag] for tag in numbers]}


def are_numbers(tags: Any) -> bool:
    """Whether tags are written as numbers."""
    found = listed(tags) if isinstance(tags, str) else tags
    return isinstance(found, list | tuple) and bool(found) and type(found[0]) is int


def raw(row: Mapping[str, Any], columns: Mapping[str, Any], folder: Path) -> str:
    """The text of a row: its words joined by spaces."""
    if "tokens" in columns:
        return " ".join(row[columns["tokens"][0]])
    return " ".join(str(row[name]) for name in columns["text"])


def spans_of(row: Mapping[str, Any], columns: Mapping[str, Any]) -> tuple[list[Span], frozenset[str]] | Unusable:
    """The spans of a row in characters of its text, and the schemes that its tags follow; or why it is unusable."""
    if "spans" in columns:
        found = _written(row.get(columns["spans"][0]), columns["spans"][0], raw(row, columns, Path()))
        return found if isinstance(found, Unusable) else (found, frozenset())
    name, words = columns["tags"][0], row[columns["tokens"][0]]
    tags = row.get(name)
    if not isinstance(tags, list | tuple):
        reason = "is missing" if tags is None else f"is {kind_of(tags)}, not a list of tags"
        return Unusable(name, reason)
    for i, tag in enumerate(tags, 1):
        if not isinstance(tag, str):
            detail = f"tag {i} is {clean(tag)}; tags are words such as `B-person`"
            return Unusable(name, f"holds {kind_of(tag)}, not a tag", detail, help=NAMED if type(tag) is int else "")
    if len(tags) != len(words):
        detail = f"{len(words)} in {quote(columns['tokens'][0])}, {len(tags)} in {quote(name)}"
        return Unusable(name, "has another number of tags than there are words", detail, "E0360")
    try:
        entities, schemes = read(tags)
    except Broken as broken:
        return Unusable(name, "is no sequence of tags", str(broken), "E0361")
    edges = [0]
    for word in words:
        edges.append(edges[-1] + len(word) + 1)
    return [(edges[first], edges[end] - 1, label) for first, end, label in entities], schemes


def _written(value: Any, name: str, text: str) -> list[Span] | Unusable:
    if not isinstance(value, list | tuple):
        return Unusable(name, "is missing" if value is None else f"is {kind_of(value)}, not a list of spans")
    found: list[Span] = []
    for i, span in enumerate(value, 1):
        if not isinstance(span, Mapping) or not {"start", "end", "label"} <= span.keys():
            return Unusable(name, "holds what is no span", f"span {i} is not {{start, end, label}}")
        start, end, label = span["start"], span["end"], label_word(span["label"])
        if type(start) is not int or type(end) is not int or not label:
            return Unusable(
                name, "holds what is no span", f"span {i}: `start` and `end` are whole numbers, `label` is a word"
            )
        if not 0 <= start < end <= len(text) or not text[start:end].strip():
            detail = (
                f"span {i} is {start} to {end}, the text has {len(text)} characters; `end` is the one after the last"
            )
            return Unusable(name, "has a span that marks nothing of the text", detail, "E0362")
        marked = text[start:end]  # white space at the ends is left out
        found.append((start + len(marked) - len(marked.lstrip()), start + len(marked.rstrip()), label))
    found.sort()
    for (start, end, label), (other, last, second) in pairwise(found):
        if other < end:
            detail = f"{quote(label)} is {start} to {end}, {quote(second)} {other} to {last}"
            return Unusable(name, "has spans that overlap", detail, "E0363")
    return found
