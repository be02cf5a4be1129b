"""Integrity of a stage's output: compares the files on disk with the output's record."""

from __future__ import annotations

import errno
import math
import os
import shutil
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from .hashes import digest, file_sha256, is_settled, recall, remember
from .ownership import is_loose, require_owner, tightened

Statuses = Mapping[str, os.stat_result]  # of files and links, by path in the output


def contents(folder: Path) -> dict[str, tuple[int, str]]:
    """Size in bytes and SHA-256 of every file in a folder, by its path in the folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): (path.stat().st_size, file_sha256(path)) for path in files}


def entries_of(folder: Path, users: frozenset[int]) -> tuple[Statuses, int]:
    """The files in a folder at any depth, and the number of entries that others could write to until now.

    Raises Refused E0426 for entries owned by another user.
    """
    found: dict[str, os.stat_result] = {}
    count, below = 0, [folder]
    for at in below:
        for entry in os.scandir(at):
            path, status = Path(entry.path), entry.stat(follow_symlinks=False)
            require_owner(path, status, users)
            if not stat.S_ISLNK(status.st_mode) and tightened(path, status):
                count, status = count + 1, path.lstat()
            if stat.S_ISDIR(status.st_mode):
                below.append(path)
            else:
                found[path.relative_to(folder).as_posix()] = status
    return found, count


def differences(folder: Path, known: Mapping[str, Any], found: Statuses, memory: Path | None) -> list[str]:
    """The differences of an output from its record, in words.

    `memory` remembers intact outputs by the sizes, times and inodes of their files.
    """
    wrong = [_word(name, known, found) for name in sorted(known.keys() | found.keys())]
    if wrong := [word for word in wrong if word]:
        return wrong
    name = digest([str(folder), known, [[each, *_identity(found[each])] for each in sorted(found)]])
    if memory and recall(memory, name):
        return []
    settled = all(map(is_settled, found.values()))
    wrong = [f"{each} has changed" for each in sorted(known) if file_sha256(folder / each) != known[each][1]]
    if memory and settled and not wrong:
        remember(memory, name, name)
    return wrong


def _word(name: str, known: Mapping[str, Any], found: Statuses) -> str:
    """A file's difference from its record that shows without reading it; "" for none."""
    if name not in found:
        return f"{name} is missing"
    if not stat.S_ISREG(found[name].st_mode):
        return f"{name} is {'a link' if stat.S_ISLNK(found[name].st_mode) else 'no file'}"
    if name not in known:
        return f"{name} was added"
    is_told = isinstance(known[name], list) and list(map(type, known[name])) == [int, str]
    return "" if is_told and known[name][0] == found[name].st_size else f"{name} has changed"


def _identity(status: os.stat_result) -> tuple[int, ...]:
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


def is_untouched(folder: Path, users: frozenset[int]) -> bool:
    """Whether nobody else could have changed what an unfinished attempt left in a folder.

    Raises Refused E0426 for entries owned by another user.
    """
    status = folder.lstat()
    require_owner(folder, status, users)
    if not stat.S_ISDIR(status.st_mode) or is_loose(status):
        return False
    is_shut = not status.st_mode & 0o077  # then the modes inside don't matter
    inside = [path.lstat() for path in folder.rglob("*")]
    if any(not (stat.S_ISREG(each.st_mode) or stat.S_ISDIR(each.st_mode)) for each in inside):
        return False
    return is_shut or not any(map(is_loose, inside))


def discard(path: Path) -> None:
    """Removes a folder with everything in it, a file, or a symbolic link but not its target."""
    with suppress(NotADirectoryError):
        if not path.is_symlink():
            shutil.rmtree(path)
            return
    path.unlink(missing_ok=True)


def refuse_cut_arrays(folder: Path) -> None:
    """Raises OSError for a truncated array: numpy does not report a disk that filled up at the last bytes."""
    for path in folder.rglob("*.npy"):
        with path.open("rb") as file:
            try:
                major, _ = np.lib.format.read_magic(file)
                read = np.lib.format.read_array_header_1_0 if major == 1 else np.lib.format.read_array_header_2_0
                shape, _, dtype = read(file)
                is_whole = path.stat().st_size == file.tell() + math.prod(shape) * dtype.itemsize
            except ValueError:
                is_whole = False
        if not is_whole:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
