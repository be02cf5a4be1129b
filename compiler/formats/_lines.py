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
    with path.open("rb", buffering=1 << 20) as file:
        for number, raw in enumerate(iter(partial(file.readline, LONGEST + 1), b""), 1):
            if number == 1:
                raw = raw.removeprefix(codecs.BOM_UTF8)
            if len(raw) > LONGEST:
                raise Malformed(number, f"the line is longer than {LONGEST >> 20} MiB")
            try:
                text = raw.decode()
            except UnicodeDecodeError as error:
                raise Malformed(number, not_utf8(error)) from None
            if "\0" in text:
                raise Malformed(number, f"a NUL byte at column {text.index(chr(0)) + 1}")
            yield number, text


def not_utf8(error: UnicodeDecodeError) -> str:
    """What to say of bytes that are not UTF-8."""
    return f"not UTF-8: byte 0x{error.object[error.start]:02x}; save the file as UTF-8"
