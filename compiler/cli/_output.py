"""Writes files that users name, completely or not at all."""

from __future__ import annotations

import errno
import os
import secrets
import shlex
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import click

from ..diagnostics import Refused, Row, Status, quote, refuse

MODE = 0o644  # mode of new files, before the umask


@contextmanager
def whole(path: Path) -> Iterator[IO[str]]:
    """Opens a file of the user's for writing; it appears or changes only when it is complete.

    Anything but a regular file, such as /dev/stdout, is written directly. A link stays a link.
    """
    if path.exists() and not path.is_file():
        try:
            with path.open("w", encoding="utf-8") as file:
                yield file
        except OSError as error:
            raise _out_of_space(path) if is_full(error) else error from None
        return
    real = Path(os.path.realpath(path))
    if real.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    with _staged(real, path) as file:
        yield file


@contextmanager
def _staged(real: Path, shown: Path) -> Iterator[IO[str]]:
    """Opens a temporary file beside a place and moves it there at the end; `shown` is its name in messages."""
    staged = real.with_name(f".{real.name[:200]}.{secrets.token_hex(4)}.partial")
    mode = MODE & (real.stat().st_mode if real.exists() else MODE)  # keep stricter modes of an existing file
    try:
        # never write to an existing file or through a link of that name
        made = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    except OSError as error:
        error.filename = str(shown)  # as the user wrote it
        raise _out_of_space(shown) if is_full(error) else error from None
    try:
        with open(made, "w", encoding="utf-8") as file:
            yield file
        os.replace(staged, real)
    except BaseException as error:
        with suppress(OSError):
            staged.unlink(missing_ok=True)
        if isinstance(error, OSError) and is_full(error):
            raise _out_of_space(shown) from None
        if isinstance(error, OSError) and error.filename == str(staged):
            error.filename = str(shown)
        raise


def is_full(error: Exception) -> bool:
    """Whether a disk was full; some libraries, such as numpy, tell so only in their message."""
    codes = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    words = ("No space left on device", "Disk quota exceeded", "requested and")
    return getattr(error, "errno", None) in codes or any(word in str(error) for word in words)


def is_memory(error: Exception) -> bool:
    """Whether memory was exhausted; torch tells so only in its message."""
    words = ("can't allocate memory", " out of memory", "std::bad_alloc")
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(word in str(error) for word in words)
    )


def _out_of_space(path: Path) -> Refused:
    help = "free space there, or write to another disk"
    return refuse("E0410", f"the disk is full at {quote(path)}", help=help, status=Status.MACHINE)


def write_json(path: Path, text: str) -> None:
    """Writes JSON to a file atomically; raises UsageError for other endings, such as a spec's."""
    if path.suffix.lower() in (".yaml", ".yml", ".py", ".csv", ".jsonl"):
        raise click.UsageError(f"-o writes JSON: {path.name} has another ending")
    write_whole(path, text)


def write_whole(path: Path, text: str) -> None:
    """Writes a text to a file atomically."""
    with whole(path) as file:
        file.write(text)


def refuse_planted(path: Path) -> None:
    """Raises Refused E0354 where a file that the user did not name is a link, a pipe or a device."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        what = "a link" if stat.S_ISLNK(mode) else "a pipe or a device"
        help = f"look at it, then remove it: `rm {shlex.quote(path.name)}`"
        note = "nothing is written through it, because the command line did not name it"
        raise refuse("E0354", f"{quote(path.name)} is {what}", note, at=Row(path.name), help=help)


def write_unnamed(path: Path, text: str) -> None:
    """Writes a text to a file that the user did not name, never through a link; raises Refused E0354."""
    refuse_planted(path)
    with _staged(path, path) as file:
        file.write(text)
