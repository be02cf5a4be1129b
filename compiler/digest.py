"""Hashes: of files (remembered while they don't change) and of canonical JSON."""

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

TICK = 100_000_000  # nanoseconds, more than any file system's clock takes
_SHA256 = re.compile("[0-9a-f]{64}")
WORTH = 4_000_000  # bytes; smaller files are hashed faster than remembered


def canonical(value: Any) -> str:
    """JSON with one spelling: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(value: Any) -> str:
    """SHA-256 of a value's canonical JSON.

    >>> digest({"b": 1, "a": 2}) == digest({"a": 2, "b": 1})
    True
    """
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def file_sha256(path: Path, memory: Path | None = None) -> str:
    """SHA-256 of a file; `memory` is a folder that remembers large ones by path, size, times and inode."""
    status = path.stat()
    if memory is None or status.st_size < WORTH:
        return _read(path)
    note = _note(path, status, memory)
    try:
        known = note.read_text()
        if _SHA256.fullmatch(known):
            return known
    except (OSError, ValueError):
        pass
    # a change within one tick of the clock leaves the times as they are, so what just changed is not remembered
    is_settled = time.time_ns() - status.st_ctime_ns > TICK
    found = _read(path)
    if is_settled and _note(path, path.stat(), memory) == note:
        _remember(note, found)
    return found


def _remember(note: Path, found: str) -> None:
    with suppress(OSError):  # a store that can't be written costs time and nothing else
        note.parent.mkdir(parents=True, exist_ok=True)
        staged = note.with_suffix(f".{os.getpid()}")
        staged.write_text(found)
        staged.replace(note)


def known_sha256(path: Path, memory: Path) -> str | None:
    """SHA-256 of a file where it costs nothing: a small one, or one that `file_sha256` remembers; else None."""
    status = path.stat()
    if status.st_size < WORTH:
        return _read(path)
    try:
        known = _note(path, status, memory).read_text()
    except (OSError, ValueError):
        return None
    return known if _SHA256.fullmatch(known) else None


def _note(path: Path, status: os.stat_result, memory: Path) -> Path:
    identity = [str(path.resolve()), status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
    return memory / digest(identity)


def _read(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def identity(path: Path) -> str:
    """What a file or folder can't keep while its content changes, as a look without reading tells; "" for none."""
    try:
        status = path.stat()
    except OSError:
        return ""
    return f"{status.st_dev} {status.st_ino} {status.st_size} {status.st_mtime_ns}"


def combined(parts: Iterable[str]) -> str:
    """One SHA-256 for several, in order."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
