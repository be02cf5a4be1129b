"""Keeps messages of a failing tokenizers library off the terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from ..interrupts import held_back


@contextmanager
def silenced() -> Iterator[None]:
    """Discards standard error, because a panic of the library prints a stack trace there before it can be caught.

    Ctrl-C waits until the end: between two lines here it would leave the process without standard error.
    """
    with held_back():
        yield from _discarded()


def _discarded() -> Iterator[None]:
    sys.stderr.flush()
    try:
        terminal = os.dup(2)
    except OSError:  # standard error is closed, so nothing can be written to it
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(terminal, 2)
        os.close(terminal)
        os.close(nowhere)
