"""The streams of the command line: what is written to them is heard, or the status says that it was not."""

from __future__ import annotations

import io
import os
import sys
from typing import IO, TextIO

from ..diagnostics import Status, refuse

MODES = {"stdin": "r", "stdout": "w", "stderr": "w"}


def prepare() -> None:
    """Makes streams that take every character.

    One that was closed before the start would be a file's later, which what is printed would then be written into: it
    leads nowhere instead. Raises Refused E0412 where that is standard output, for nobody could read what is found.
    """
    closed = [name for name in MODES if getattr(sys, name) is None]
    for name in closed:
        setattr(sys, name, open(os.devnull, MODES[name], encoding="utf-8"))  # noqa: SIM115 - for the life of the process
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a label may hold what the terminal's encoding has not
    if "stdout" in closed:
        help = "open it; `> /dev/null` throws away what is printed"
        raise refuse("E0412", "standard output is closed", help=help, status=Status.MACHINE)


def close(stream: IO[str]) -> None:
    """Sends what is still to be written nowhere, so that the interpreter does not fail on it when it ends."""
    try:
        stream.flush()
    except (OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def say(text: str, stream: TextIO | None = None) -> None:
    """Prints the last that there is to say; where even that is not heard, the status says it alone."""
    stream = stream or sys.stderr
    try:
        print(text, file=stream, flush=True)
    except (OSError, ValueError):
        close(stream)
