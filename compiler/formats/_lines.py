"""Reads a text file line by line, with the line numbers of an editor."""

from __future__ import annotations

import codecs
import io
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO

from . import Malformed, Told, stop

LONGEST = 64 << 20  # the most bytes of one line, because a file without lines must not be read into memory
START = 1 << 20  # bytes from which the ends of lines are recognised
UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
AS_UTF_8 = "a spreadsheet saves `CSV UTF-8`; or `iconv -f WINDOWS-1252 -t UTF-8 FILE > NEW`, if Windows wrote it"


def lines(path: Path, told: Told = stop) -> Iterator[tuple[int, str]]:
    """Yields each line, with its end, and its number from 1.

    Lines end only at a line feed, so U+2028 and the like stay inside a text, as in an editor.
    """
    for number, raw in raw_lines(path):
        try:
            text = decoded(number, raw)
        except Malformed as error:
            told(error)
            continue
        yield number, text


def raw_lines(path: Path, is_json: bool = False) -> Iterator[tuple[int, bytes]]:
    """Yields the bytes of each line in UTF-8, without a byte order mark, and its number from 1.

    UTF-16 is recognised by its byte order mark. A file with carriage returns but no line feed has lines that end with
    carriage returns, unless `is_json`, where they are white space.
    """
    with path.open("rb", buffering=START) as buffered:
        start = buffered.read(START)
        buffered.seek(0)
        is_wide = start.startswith(UTF_16) and not start.startswith(codecs.BOM_UTF32_LE)
        text = start.decode("utf-16", errors="ignore") if is_wide else start.decode("latin-1")
        end = "\r" if "\r" in text and "\n" not in text and not is_json else "\n"
        if is_wide or end == "\r":
            yield from _recoded(buffered, "utf-16" if is_wide else "latin-1", end)
        else:
            yield from _numbered(partial(buffered.readline, LONGEST + 1))


def _numbered(readline: Callable[[], bytes]) -> Iterator[tuple[int, bytes]]:
    for number, raw in enumerate(iter(readline, b""), 1):
        if len(raw) > LONGEST:
            raise Malformed(number, f"the line is longer than {LONGEST >> 20} MiB")
        yield number, raw if number > 1 else raw.removeprefix(codecs.BOM_UTF8)


def _recoded(buffered: BinaryIO, encoding: str, end: str) -> Iterator[tuple[int, bytes]]:
    """The lines of a file in another encoding or with other ends, as UTF-8 with line feeds."""
    text, number = io.TextIOWrapper(buffered, encoding, newline=end), 0
    inside = "utf-8" if encoding == "utf-16" else encoding  # bytes of UTF-8 pass through Latin-1 unchanged

    def readline() -> bytes:
        line = text.readline(LONGEST + 1)
        return (line[:-1] + "\n" if line.endswith(end) else line).encode(inside)

    try:
        for number, raw in _numbered(readline):
            yield number, raw
    except UnicodeError:
        raise Malformed(number + 1, f"not {encoding.upper()}, though its first bytes say so", AS_UTF_8) from None
    finally:
        text.detach()  # the caller closes the file


def decoded(number: int, raw: bytes) -> str:
    """A line's text; raises Malformed for bytes that are no text."""
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise Malformed(number, not_utf8(error), AS_UTF_8) from None
    if "\0" in text:
        raise Malformed(number, f"a NUL byte at column {text.index(chr(0)) + 1}")
    return text


def not_utf8(error: UnicodeDecodeError) -> str:
    """The message for bytes that are not UTF-8."""
    return f"not UTF-8: byte 0x{error.object[error.start]:02x}; save the file as UTF-8"
