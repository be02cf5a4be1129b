"""Keeps what the tokenizers' library prints when it fails away from the terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def silenced() -> Iterator[None]:
    """Sends standard error nowhere: a panic writes there by itself, a stack of calls and all, before it can be caught."""
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
