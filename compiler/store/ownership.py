"""Ownership in a store: files that other users could write are not trusted, and new files are the user's alone."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..diagnostics import Refused, Status, refuse

LOOSE = 0o022  # write bits of group and others
FOLDER, FILE = 0o700, 0o600
_OPENED = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK  # follows no link and waits for no pipe


def trusted(root: Path) -> frozenset[int]:
    """The users whose files count in a store: this one and root; for root, also the owner of the store's folder."""
    own = os.geteuid()
    found = {own, 0}
    if own == 0:
        with suppress(OSError):
            found.add(root.stat().st_uid)
    return frozenset(found)


def is_loose(status: os.stat_result) -> bool:
    """Whether other users may change a file, or the entries of a folder.

    In a folder with the sticky bit, nobody can replace another user's entries.
    """
    return bool(status.st_mode & LOOSE) and not (stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX)


def is_own(status: os.stat_result, users: frozenset[int]) -> bool:
    """Whether a file or folder belongs to one of these users and nobody else may write to it."""
    return status.st_uid in users and not is_loose(status)


def require_owner(path: Path, status: os.stat_result, users: frozenset[int]) -> None:
    """Raises Refused E0426 for an entry of a store that belongs to another user."""
    if status.st_uid not in users:
        raise _untrusted(path, f"it is of user {status.st_uid}, neither of you nor of root")


def require_folder(path: Path, users: frozenset[int]) -> bool:
    """Removes the write bits of others from a folder and returns whether it had any.

    Raises Refused E0426 for anything that is not a folder of these users, and FileNotFoundError where nothing exists.
    """
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode):
        what = "a link" if stat.S_ISLNK(status.st_mode) else "no folder"
        raise _untrusted(path, f"it is {what}; the store follows no links within itself")
    require_owner(path, status, users)
    return tightened(path, status)


def require_root(root: Path, users: frozenset[int], names: frozenset[str]) -> bool:
    """Removes the write bits of others from a store's own folder and returns whether it had any.

    A folder that holds more than `names` keeps them, because it has other uses too. Raises Refused E0426 for a folder,
    or one above it, in which others can replace the store.
    """
    real = Path(os.path.realpath(root))
    for status in (root.lstat(), real.stat()):  # a link is fine if link and target belong to these users
        require_owner(root, status, users)
    require_above(root)
    if {path.name for path in real.iterdir()} <= names:
        return tightened(real, real.stat())
    _refuse_open(real)
    return False


def require_above(root: Path) -> None:
    """Raises Refused E0426 where others can replace the store in one of the folders above it.

    The store itself need not exist.
    """
    for folder in Path(os.path.realpath(root)).parents:
        _refuse_open(folder)


def _refuse_open(folder: Path) -> None:
    with suppress(OSError):
        status = folder.stat()
        if status.st_mode & stat.S_IWOTH and is_loose(status):
            raise _untrusted(folder, "it is world-writable, without sticky bit: anybody may rename what lies in it")


def tightened(path: Path, status: os.stat_result) -> bool:
    """Removes the write bits of others from a file or folder and returns whether it had any.

    Raises Refused E0426 where this user may not change them.
    """
    if not is_loose(status):
        return False
    try:
        with _opened(path, os.O_RDONLY) as file:
            os.fchmod(file, stat.S_IMODE(os.fstat(file).st_mode) & ~LOOSE)
    except PermissionError:
        raise _untrusted(path, "others may write to it, and it is not yours to change that") from None
    return True


def shut(folder: Path) -> None:
    """Makes a folder and everything in it accessible to its owner only, whatever the umask; links are left alone."""
    for path in (folder, *folder.rglob("*")):
        status = path.lstat()
        wanted = FOLDER if stat.S_ISDIR(status.st_mode) else FILE
        # setting an unchanged mode would still change the file's ctime
        if not stat.S_ISLNK(status.st_mode) and stat.S_IMODE(status.st_mode) != wanted:
            path.chmod(wanted)


def make_folders(path: Path, mode: int = FOLDER) -> None:
    """Makes a folder and its missing parents, accessible to the owner only unless `mode` says otherwise."""
    for folder in reversed((path, *path.parents)):
        if not os.path.lexists(folder):
            with suppress(FileExistsError):  # another process made it meanwhile
                os.mkdir(folder, mode)


def read_own(path: Path, users: frozenset[int], is_strict: bool = True) -> bytes | None:
    """The content of a file; None if it is missing, a link, or owned by another user.

    If strict, also None for a file that others may write to.
    """
    try:
        with _opened(path, os.O_RDONLY) as file:
            status = os.fstat(file)
            if not stat.S_ISREG(status.st_mode) or status.st_uid not in users or (is_strict and is_loose(status)):
                return None
            with open(file, "rb", closefd=False) as content:
                return content.read()
    except OSError:
        return None


def make_file(path: Path) -> None:
    """Makes an empty file, accessible to its owner only, in place of any file or link at this path."""
    if os.path.lexists(path):
        with suppress(FileNotFoundError):
            os.unlink(path)
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _OPENED, FILE))


@contextmanager
def opened_own(path: Path) -> Iterator[int]:
    """A file descriptor to lock, of a file that is made if missing; raises Refused E0426 for anything but a file."""
    try:
        with _opened(path, os.O_RDWR | os.O_CREAT) as file:
            if not stat.S_ISREG(os.fstat(file).st_mode):
                raise _untrusted(path, "it is no file")
            yield file
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise _untrusted(path, "it is a link; the store follows no links within itself") from None


@contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    file = os.open(path, flags | _OPENED, FILE)
    try:
        yield file
    finally:
        os.close(file)


def _untrusted(path: Path, why: str) -> Refused:
    return refuse(
        "E0426",
        "the store can't be trusted: others may write to it",
        f"{path}: {why}",
        help="name another store with --store or $GRAFTC_STORE, or make this one yours alone",
        status=Status.MACHINE,
    )
