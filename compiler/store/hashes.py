"""SHA-256 hashes of files, remembered while a file is unchanged, and of canonical JSON."""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from .ownership import is_own, make_file, make_folders, read_own, trusted

TICK = 100_000_000  # nanoseconds; longer than one tick of any file system's clock
_SHA256 = re.compile("[0-9a-f]{64}")
WORTH = 4_000_000  # bytes; hashing a smaller file is faster than looking it up


def canonical(value: Any) -> str:
    """The canonical JSON of a value: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(value: Any) -> str:
    """SHA-256 of a value's canonical JSON.

    >>> digest({"b": 1, "a": 2}) == digest({"a": 2, "b": 1})
    True
    """
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def file_sha256(path: Path, memory: Path | None = None) -> str:
    """The SHA-256 of a file; `memory` is a folder that remembers large files by path, size, times and inode."""
    status = path.stat()
    if memory is None or status.st_size < WORTH:
        return _read(path)
    name = _name(path, status)
    if known := recall(memory, name):
        return known
    found = _read(path)
    if is_settled(status) and _name(path, path.stat()) == name:
        remember(memory, name, found)
    return found


def known_sha256(path: Path, memory: Path) -> str | None:
    """The SHA-256 of a file if it is small or remembered in `memory`; else None, without reading the file."""
    status = path.stat()
    return _read(path) if status.st_size < WORTH else recall(memory, _name(path, status)) or None


def is_settled(status: os.stat_result) -> bool:
    """Whether a file's times identify its content.

    A change within one tick of the file system's clock leaves the times as they are.
    """
    return time.time_ns() - status.st_ctime_ns > TICK


def recall(memory: Path, name: str) -> str:
    """The hash that a memory holds under a name; "" if there is none, or if other users could have written it."""
    users = trusted(memory.parent)
    known = read_own(memory / name, users) if _is_own(memory, users) else None
    found = known.decode("ascii", "replace") if known else ""
    return found if _SHA256.fullmatch(found) else ""


def remember(memory: Path, name: str, found: str) -> None:
    """Writes a hash into a memory; does nothing where the store can't be written."""
    with suppress(OSError):
        make_folders(memory)
        if not _is_own(memory, trusted(memory.parent)):
            return
        staged = (memory / name).with_suffix(f".{os.getpid()}")
        make_file(staged)
        staged.write_text(found)
        staged.replace(memory / name)


def _is_own(memory: Path, users: frozenset[int]) -> bool:
    try:
        return is_own(memory.lstat(), users)  # never true of a link
    except OSError:
        return False


def _name(path: Path, status: os.stat_result) -> str:
    return digest([os.path.realpath(path), status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino])


def _read(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def identity(path: Path) -> str:
    """Device, inode, size and time of a file or folder, which change with its content; "" if it does not exist."""
    try:
        status = path.stat()
    except OSError:
        return ""
    return f"{status.st_dev} {status.st_ino} {status.st_size} {status.st_mtime_ns}"


def combined(parts: Iterable[str]) -> str:
    """One SHA-256 over several, in order."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
