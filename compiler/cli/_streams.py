"""The standard streams of the command line: failures to write show in the exit status."""

from __future__ import annotations

import io
import os
import sys
from typing import IO, TextIO

from ..diagnostics import Status, refuse

MODES = {"stdin": "r", "stdout": "w", "stderr": "w"}


def prepare() -> None:
    """Makes streams that can write every character.

    A closed stream is opened on the null device, because a file opened later would get its number. Raises Refused E0412
    where standard output is closed.
    """
    closed = [name for name in MODES if getattr(sys, name) is None]
    for name in closed:
        nowhere = open(os.devnull, MODES[name], encoding="utf-8")  # noqa: SIM115 - for the life of the process
        setattr(sys, name, nowhere)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # labels may hold characters that the terminal's encoding lacks
            stream.reconfigure(errors="backslashreplace")
    if "stdout" in closed:
        help = "open it; `> /dev/null` throws away what is printed"
        raise refuse("E0412", "standard output is closed", help=help, status=Status.MACHINE)


def close(stream: IO[str]) -> None:
    """Discards unwritten output, so that the interpreter does not fail on it at exit."""
    try:
        stream.flush()
    except (OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def say(text: str, stream: TextIO | None = None) -> None:
    """Prints a last message; ignores failures, which the exit status tells."""
    stream = stream or sys.stderr
    try:
        print(text, file=stream, flush=True)
    except (OSError, ValueError):
        close(stream)
