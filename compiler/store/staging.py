"""Staging folders: temporary folders beside a destination, on the same disk.

A mark file with a lock tells graftc's own folders from those of users, and live ones from left ones.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

ENDING = ".graftc"
MARK = "mark.txt"
LONGEST = 180  # bytes of the destination's name in the staging folder's name
TEXT = "graftc was making something here, to be put beside this folder. If no graftc runs, delete the folder.\n"


@contextmanager
def beside(place: Path) -> Iterator[Path]:
    """A new folder beside `place`, on the same disk and for its owner only, removed at the end.

    Folders that killed commands left beside the same place are removed first.
    """
    clear(place)
    folder, mark = _made(place)
    with mark:
        try:
            yield folder
        finally:
            _remove(folder)


def clear(place: Path) -> None:
    """Removes the staging folders that killed commands left beside a place.

    A live command holds a lock on its folder's mark.
    """
    prefix = _prefix(place)
    with suppress(FileNotFoundError):
        for entry in list(os.scandir(place.parent)):
            if entry.name.startswith(prefix) and entry.name.endswith(ENDING):
                _clear(Path(entry.path))


def _prefix(place: Path) -> str:
    return f".{os.fsdecode(os.fsencode(place.name)[:LONGEST])}."


def _made(place: Path) -> tuple[Path, IO[str]]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_prefix(place), suffix=ENDING, dir=place.parent))
        try:
            mark = (folder / MARK).open("x", encoding="utf-8")
        except FileNotFoundError:  # another command took the empty folder for an abandoned one
            continue
        fcntl.flock(mark, fcntl.LOCK_EX)
        with suppress(FileNotFoundError):
            if (folder / MARK).stat().st_ino == os.fstat(mark.fileno()).st_ino:
                mark.write(TEXT)
                mark.flush()
                return folder, mark
        mark.close()  # another command removed it before it was locked


def _clear(folder: Path) -> None:
    """Removes a folder of a command that is gone: one with an unlocked mark, or an empty one."""
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        return
    with suppress(OSError):  # a link, another user's folder, or a live command
        names = os.listdir(folder)
        if not names:
            folder.rmdir()
        if MARK not in names:
            return
        with open(os.open(folder / MARK, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), encoding="utf-8") as mark:
            fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
            said = mark.read(len(TEXT) + 1)
            if said == TEXT or (TEXT.startswith(said) and names == [MARK]):  # killed while it wrote the mark
                _remove(folder)


def _remove(folder: Path) -> None:
    """Removes a staging folder; the mark goes last, so that a folder left by a kill meanwhile is recognised again."""
    with suppress(OSError):
        for entry in list(os.scandir(folder)):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            elif entry.name != MARK:
                os.unlink(entry.path)
        (folder / MARK).unlink()
        folder.rmdir()
