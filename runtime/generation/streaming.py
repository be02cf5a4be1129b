"""The text of an answer, piece by piece: whole characters, and nothing of a stop string."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Sequence
from copy import copy
from typing import Any

BROKEN = "\ufffd"  # stands for bytes that make no character, or none yet
MOST = 16  # tokens that are decoded at once
LEAST = 4  # of them stay: what a token looks like depends on the one before, and three may hold a part of a character


class Detokenizer:
    """What of a tokenizer decoding needs to know, looked up once.

    `tokenizer` is one of the package tokenizers. Special tokens and numbers without a token have no text.
    """

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self._special = {id for id, token in tokenizer.get_added_tokens_decoder().items() if token.special}
        self.bytes = self._bytes()

    def text(self, ids: Sequence[int]) -> str:
        """The text of tokens that stand at the beginning of one."""
        found: str = self.tokenizer.decode(ids)
        return found

    def is_seen(self, id: int) -> bool:
        """Whether a token has a text."""
        return id not in self._special and self.tokenizer.id_to_token(id) is not None

    def _bytes(self) -> dict[int, bytes]:
        """Tokens that stand for one byte each, as SentencePiece has for characters that are no tokens."""
        letter = self.tokenizer.token_to_id("<0x41>")
        if letter is None or self.text([letter]) != "A":
            return {}
        found = {byte: self.tokenizer.token_to_id(f"<0x{byte:02X}>") for byte in range(256)}
        return {id: bytes([byte]) for byte, id in found.items() if id is not None}


class TextStream:
    """The text of one answer as its tokens come; the pieces together are the text.

    `context` are tokens before the answer that belong to the same text: what begins a text lacks its first space under
    tokenizers as SentencePiece's. Each token costs the same, however long the text is: only the last few are decoded.

    The text is what the tokenizer's `decode` gives for all tokens, special ones left out, up to the first stop string.
    One thing differs: of bytes that are no UTF-8, in tokens of one byte each, what can be read is kept.
    """

    def __init__(self, detokenizer: Detokenizer, stop: Sequence[str] = (), context: Sequence[int] = ()) -> None:
        self.is_stopped = False
        self._detokenizer, self._stop = detokenizer, tuple(stop)
        self._window = [id for id in context[-MOST:] if detokenizer.is_seen(id)][-LEAST:]
        self._given = len(self._settled(self._decoded()))  # characters of the window's text that are out
        self._bytes = b""  # of a character that is not whole yet
        # whether the window ends with bytes, which `_given` does not count
        self._is_behind = bool(self._window) and self._window[-1] in detokenizer.bytes
        self._held = ""  # may be the beginning of a stop string

    def push(self, id: int) -> str:
        """The text that is certain with a token more; empty once a stop string has been found."""
        if self.is_stopped or not self._detokenizer.is_seen(id):
            return ""
        byte = self._detokenizer.bytes.get(id)
        return self._stopped(self._of_token(id) if byte is None else self._of_byte(id, byte))

    def end(self) -> str:
        """The rest of the text, with U+FFFD for a character that is not whole; nothing may be pushed then."""
        if self.is_stopped:
            return ""
        found = self._stopped(self._rest())
        return found if self.is_stopped else found + self._held

    def fork(self) -> TextStream:
        """A stream that goes on from here by itself."""
        other = copy(self)
        other._window = list(self._window)
        return other

    def _of_token(self, id: int) -> str:
        rest = self._rest() if self._is_behind else ""
        self._window.append(id)
        text = self._decoded()
        settled = self._settled(text)
        found = settled[self._given :]
        self._given = max(self._given, len(settled))
        if len(self._window) > MOST:
            self._shorten(len(text) - self._given)
        return rest + found

    def _of_byte(self, id: int, byte: bytes) -> str:
        """Bytes are read here, not by the tokenizer, which spoils a whole run of them for one that is wrong."""
        rest = "" if self._is_behind else self._rest()
        is_dropped = not self._window and not self._detokenizer.text([id])  # the space that a text begins with
        self._window, self._is_behind = [*self._window, id][-MOST:], True
        if is_dropped:
            return rest
        text, used = codecs.utf_8_decode(self._bytes + byte, "replace", False)
        self._bytes = (self._bytes + byte)[used:]
        return rest + text

    def _rest(self) -> str:
        """What is not settled, given up as it is."""
        text = self._decoded()
        found = (BROKEN if self._bytes else "") if self._is_behind else text[self._given :]
        self._bytes, self._is_behind, self._given = b"", False, len(text)
        return found

    def _shorten(self, open: int) -> None:
        """Forgets all tokens but the last few; `open` characters at the end are still to be given."""
        self._window = self._window[-LEAST:]
        self._given = len(self._decoded()) - open

    def _decoded(self) -> str:
        return self._detokenizer.text(self._window)

    def _settled(self, text: str) -> str:
        """A text without what the next token may change: bytes at its end that may be part of a character."""
        return text.removesuffix(BROKEN)

    def _stopped(self, text: str) -> str:
        """What can be given of `text` and what was held before, up to a stop string."""
        if not self._stop or not text:
            return text
        text = self._held + text
        end = first_stop(text, self._stop)
        self.is_stopped = end is not None
        if end is None:
            end = len(text) - _begun(text, self._stop)
        self._held = text[end:]
        return text[:end]


def first_stop(text: str, stop: Iterable[str]) -> int | None:
    """Where the stop string begins that ends first in a text, of several the longest; None where there is none.

    >>> first_stop("one two", ["two", "t"]), first_stop("one two", ["e two", "wo"]), first_stop("one", ["two"])
    (4, 2, None)
    """
    found = [(at + len(each), at) for each in stop if (at := text.find(each)) >= 0]
    return min(found)[1] if found else None


def _begun(text: str, stop: Iterable[str]) -> int:
    """How many characters at the end of a text may be the beginning of a stop string."""
    return max(
        (n for each in stop for n in range(1, min(len(each), len(text) + 1)) if text.endswith(each[:n])), default=0
    )
