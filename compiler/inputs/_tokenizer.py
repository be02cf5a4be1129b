"""Reads the backbone's tokenizer.json, once for each content, and compares its tokens with the backbone's embedding."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..diagnostics import At, Diagnostic, Refused, Span, quote, refuse
from ..facts.backbone import BackboneFacts
from ..facts.configuration import key_span, rules
from ..files import whole
from ._growth import excess
from ._panics import silenced

NAME = "tokenizer.json"
LARGEST = 256 << 20  # the most bytes of the file
AGAIN = "copy the backbone's tokenizer again"
ALSO = (At(("backbone", "from")),)
BROKEN = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError)


def padding(folder: Path, sha256: str, config: Mapping[str, Any]) -> tuple[int, str]:
    """The id and the word of padding: as tokenizer_config.json names it, else by the id in config.json."""
    word = _pad_word(folder)
    try:
        known = numbered(folder / NAME, sha256)
        number = known.get(word, config.get("pad_token_id") or 0)
    except BROKEN:
        number = None
    if type(number) is not int:
        raise unreadable()
    return number, word


def _pad_word(folder: Path) -> str:
    path = folder / "tokenizer_config.json"
    try:
        word = json.loads(whole(path, LARGEST).decode("utf-8")).get("pad_token") if path.is_file() else None
        word = word["content"] if isinstance(word, dict) else word
        if not isinstance(word, str | None):
            raise TypeError("padding is no word")
    except BROKEN:
        headline = "the backbone's tokenizer_config.json can't be read"
        raise refuse("E0306", headline, at=At(("backbone", "from")), help=AGAIN) from None
    return word or "[PAD]"


def unreadable(*notes: str) -> Refused:
    """The refusal of an unreadable tokenizer.json."""
    headline = "the backbone's tokenizer.json can't be read"
    return refuse("E0306", headline, *notes, at=At(("backbone", "from")), help=AGAIN)


@lru_cache(maxsize=2)
def tokenizer_of(path: Path, sha256: str) -> Any:
    """The tokenizer of the tokenizers library, without padding and truncation."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


@lru_cache(maxsize=2)
def numbered(path: Path, sha256: str) -> dict[str, int]:
    """The numbers of a tokenizer's words, as far as its file has them as a table."""
    added = json.loads(whole(path, LARGEST))
    if too_much := excess(added):
        raise unreadable(too_much)
    tokens = {token["content"]: token["id"] for token in added.get("added_tokens") or ()}
    vocabulary = added["model"]["vocab"]
    numbers = (*tokens.values(), *(vocabulary.values() if isinstance(vocabulary, dict) else ()))
    if any(type(number) is not int or number < 0 for number in numbers):
        raise ValueError("a token's number is none")
    if isinstance(vocabulary, dict):
        return tokens | vocabulary
    # pieces with scores are numbered in order; the empty word stands for the last
    return tokens | {"": len(vocabulary) - 1}


def misfits(record: Mapping[str, Any], folder: Path, backbone: BackboneFacts) -> Iterator[Diagnostic]:
    """Findings on tokens without a row in the embedding, and on token types that the backbone lacks."""
    rows = next((tensor.shape[0] for tensor in backbone.tensors if tensor.name == backbone.family.words), 0)
    path, sha256 = folder / NAME, record["assets"][NAME]
    word, number = max(numbered(path, sha256).items(), key=lambda item: item[1], default=("", -1))
    found = list(_beyond(folder, word, number, rows)) or list(_no_padding(record, folder, rows))
    yield from found
    if not found:
        yield from _encoded(path, sha256, record, backbone, rows)


def _beyond(folder: Path, word: str, number: int, rows: int) -> Iterable[Diagnostic]:
    """The error where the largest id is outside of the embedding."""
    if number < rows:
        return
    notes = (f"token {quote(word)} has the number {number:,}, the rows end at {rows - 1:,}",)
    help = (
        "resize the embedding where tokens were added: `model.resize_token_embeddings(len(tokenizer))`, then save both"
    )
    headline = f"the backbone's tokenizer has more tokens than its embedding has rows: {number + 1:,} and {rows:,}"
    yield Diagnostic("E0385", headline, Span(str(folder / NAME), 0, 1, 0), ALSO, notes, help)


def _no_padding(record: Mapping[str, Any], folder: Path, rows: int) -> Iterable[Diagnostic]:
    """The error for a padding id in config.json that is no token."""
    if 0 <= record["pad_id"] < rows:
        return
    at = key_span(folder / "config.json", "pad_token_id", f"the embedding has rows 0 to {rows - 1:,}")
    help = "name the token that fills a batch: `pad_token` in tokenizer_config.json"
    yield Diagnostic("E0385", f"the backbone's padding is no token: {record['pad_id']}", at, ALSO, (), help)


@silenced()
def _encoded(
    path: Path, sha256: str, record: Mapping[str, Any], backbone: BackboneFacts, rows: int
) -> tuple[Diagnostic, ...]:
    """Errors found by encoding a short text, or a pair: added tokens and token types."""
    try:
        encoding = tokenizer_of(path, sha256).encode("a", "a" if record.get("is_pair") else None)
    except BaseException as error:  # the library raises plain Exception, and PanicException, which is not one
        if isinstance(error, Exception) or type(error).__name__ == "PanicException":
            raise unreadable(str(error)[:200]) from None
        raise
    folder = path.parent
    number, segment = max(encoding.ids, default=-1), max(encoding.type_ids, default=0)
    types = rules(backbone.word).resolved(backbone.config).get("type_vocab_size", 0)
    if number >= rows:
        return tuple(_beyond(folder, encoding.tokens[encoding.ids.index(number)], number, rows))
    if "token_type_ids" not in backbone.family.inputs or segment < types:
        return ()
    at = key_span(folder / "config.json", "type_vocab_size", f"{types} here")
    text = "pairs of texts need" if record.get("is_pair") else "its tokenizer gives"
    help = "choose a backbone that has learned from pairs" if record.get("is_pair") else AGAIN
    return (Diagnostic("E0386", f"{text} {segment + 1} token types, which the backbone has not", at, ALSO, (), help),)
