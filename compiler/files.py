"""Reads files that others made: ordinary ones only, and no more of them than was asked for."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path


def start(path: Path, most: int) -> bytes:
    """At most so many bytes of an ordinary file.

    Raises OSError for what is none: a pipe or a device would be waited for, and is not.
    """
    place = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        mode = os.fstat(place).st_mode
        if not stat.S_ISREG(mode):
            what = "a folder" if stat.S_ISDIR(mode) else "a pipe or a device, not a file"
            raise OSError(errno.EINVAL, f"it is {what}")
        with os.fdopen(place, "rb", closefd=False) as file:
            return file.read(most)
    finally:
        os.close(place)


def whole(path: Path, most: int) -> bytes:
    """All of an ordinary file; raises OSError for what is none, and for one of more than so many bytes."""
    found = start(path, most + 1)
    if len(found) > most:
        raise OSError(errno.EFBIG, f"it is larger than {most >> 20} MiB")
    return found


def beginning(path: Path, most: int) -> bytes | None:
    """At most so many bytes of an ordinary file; None for what is none, and for what can't be read."""
    try:
        return start(path, most)
    except OSError:
        return None
