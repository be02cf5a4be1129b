"""Reads files that others made: ordinary ones only, and no more of them than was asked for."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path


def whole(path: Path, most: int) -> bytes:
    """All of an ordinary file of at most so many bytes.

    Raises OSError for what is none, such as a pipe or a device, which would be waited for, and for a larger one.
    """
    place = os.open(path, os.O_RDONLY | os.O_NONBLOCK | getattr(os, "O_CLOEXEC", 0))
    with os.fdopen(place, "rb") as file:
        if not stat.S_ISREG(os.fstat(place).st_mode):
            raise OSError(errno.EINVAL, "it is a pipe or a device, not a file")
        found = file.read(most + 1)
    if len(found) > most:
        raise OSError(errno.EFBIG, f"it is larger than {most >> 20} MiB")
    return found


def beginning(path: Path, most: int) -> bytes | None:
    """At most so many bytes of an ordinary file; None for what is none, such as a pipe or a device, and what can't be read.

    Nothing blocks: a pipe without a writer is told before it is opened, and once more afterwards.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return None
        place = os.open(path, os.O_RDONLY | os.O_NONBLOCK | getattr(os, "O_CLOEXEC", 0))
        with os.fdopen(place, "rb") as file:
            return file.read(most) if stat.S_ISREG(os.fstat(place).st_mode) else None
    except OSError:
        return None
