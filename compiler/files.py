"""Reads regular files of unknown origin, up to a limit of bytes."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path


def start(path: Path, most: int) -> bytes:
    """At most `most` bytes of a regular file.

    Raises OSError for anything else: reading a pipe or a device could wait forever.
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
    """All of a regular file; raises OSError for anything else, and for more than `most` bytes."""
    found = start(path, most + 1)
    if len(found) > most:
        raise OSError(errno.EFBIG, f"it is larger than {most >> 20} MiB")
    return found


def beginning(path: Path, most: int) -> bytes | None:
    """At most `most` bytes of a regular file; None for anything else, and for an unreadable file."""
    try:
        return start(path, most)
    except OSError:
        return None
