"""Keeps messages of a failing tokenizers library off the terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def silenced() -> Iterator[None]:
    """Discards standard error, because a panic of the library prints a stack trace there before it can be caught."""
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
