"""Reads a text file line by line, numbered as an editor numbers them."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from . import Malformed

LONGEST = 64 << 20  # bytes of one line: a file that is not made of lines must not be read into memory


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yields each line with its number from 1, its end included.

    Lines end at a line feed only, so that U+2028 and the like stay inside a text as they do in an editor.
    """
    for number, raw in raw_lines(path):
        yield number, decoded(number, raw)


def raw_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yields the bytes of each line with its number from 1, without a byte order mark."""
    with path.open("rb", buffering=1 << 20) as file:
        for number, raw in enumerate(iter(partial(file.readline, LONGEST + 1), b""), 1):
            if len(raw) > LONGEST:
                raise Malformed(number, f"the line is longer than {LONGEST >> 20} MiB")
            yield number, raw if number > 1 else raw.removeprefix(codecs.BOM_UTF8)


def decoded(number: int, raw: bytes) -> str:
    """A line's text; raises Malformed where it is none."""
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise Malformed(number, not_utf8(error)) from None
    if "\0" in text:
        raise Malformed(number, f"a NUL byte at column {text.index(chr(0)) + 1}")
    return text


def not_utf8(error: UnicodeDecodeError) -> str:
    """What to say of bytes that are not UTF-8."""
    return f"not UTF-8: byte 0x{error.object[error.start]:02x}; save the file as UTF-8"
