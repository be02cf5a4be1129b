"""Compares files of a working tree with a commit without git: by hash, by Git LFS pointer, by line.

Git would run the filters of its configuration for this. Line ends are converted as `text` and `eol` of .gitattributes
and `core.autocrlf` say; a file made by another filter can't be compared.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from ..store.hashes import file_sha256
from .repository import Repository, unreadable, unusable

Verdict = Literal["same", "other", "unknown"]
CHUNK = 1 << 20  # bytes read at a time
POINTER = 1024  # bytes of a Git LFS pointer at most
_POINTER = re.compile(
    rb"version https://git-lfs\.github\.com/spec/v1\n(?:ext-[^\n]*\n)*oid sha256:([0-9a-f]{64})\nsize ([0-9]{1,18})\n?"
)
ATTRIBUTES = ("text", "eol", "crlf", "filter", "ident", "working-tree-encoding")
UNSET = ("unspecified", "unset", "")


@dataclass(frozen=True)
class Pointer:
    """A Git LFS pointer, which stands in place of a file."""

    oid: str
    size: int


def pointer(content: bytes) -> Pointer | None:
    """The Git LFS pointer that a content is; None if it is not one."""
    hit = _POINTER.fullmatch(content) if len(content) <= POINTER else None
    return Pointer(hit[1].decode(), int(hit[2])) if hit else None


def blob(path: Path, algorithm: str, top: Path) -> str | None:
    """The object name that git gives a file's bytes; None for anything but an ordinary file of the working tree."""
    file = _opened(path, top)
    if file is None:
        return None
    with file:
        return _named(algorithm, os.fstat(file.fileno()).st_size, _chunks(file))


def is_pointed_to(path: Path, told: Pointer, top: Path) -> bool:
    """Whether a file of the working tree is the one that a pointer stands for."""
    file = _opened(path, top)
    if file is None:
        return False
    with file:
        if os.fstat(file.fileno()).st_size != told.size:
            return False
    return file_sha256(path) == told.oid


def converted(path: Path, algorithm: str, top: Path, is_auto: bool) -> str | None:
    """The object name that git gives a file with line ends as line feeds; if `is_auto`, None for a binary file."""
    file = _opened(path, top)
    if file is None:
        return None
    with file:
        size = 0
        for piece in _plain(file):
            size += len(piece)
            if is_auto and (b"\0" in piece or b"\r" in piece):
                return None  # git treats it as binary
        file.seek(0)
        return _named(algorithm, size, _plain(file))


def _named(algorithm: str, size: int, pieces: Iterator[bytes]) -> str:
    found = hashlib.new(algorithm, f"blob {size}\0".encode(), usedforsecurity=False)
    for piece in pieces:
        found.update(piece)
    return found.hexdigest()


def _opened(path: Path, top: Path) -> BinaryIO | None:
    """An ordinary file of the working tree, opened; git tracks nothing behind a symbolic link."""
    if any(parent.is_symlink() for parent in path.parents if parent.is_relative_to(top) and parent != top):
        return None
    try:
        place = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    if not stat.S_ISREG(os.fstat(place).st_mode):
        os.close(place)
        return None
    return os.fdopen(place, "rb")


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    while chunk := file.read(CHUNK):
        yield chunk


def _plain(file: BinaryIO) -> Iterator[bytes]:
    """The content in chunks with line ends as line feeds; a carriage return elsewhere stays."""
    rest = b""
    for chunk in _chunks(file):
        chunk = rest + chunk
        rest = b"\r" if chunk.endswith(b"\r") else b""
        yield chunk[: len(chunk) - len(rest)].replace(b"\r\n", b"\n")
    yield rest


def attributes(repository: Repository, names: list[str]) -> Mapping[str, dict[str, str]]:
    """The attributes of files by the working tree's .gitattributes."""
    for name in names:
        _check_ordinary(repository.top, name)
    done = repository.git(
        "-C",
        str(repository.top),
        "check-attr",
        "--stdin",
        "-z",
        *ATTRIBUTES,
        given=b"".join(os.fsencode(name) + b"\0" for name in names),
        more={"GIT_WORK_TREE": str(repository.top)},
    )
    if done.returncode:
        raise unusable(done)
    words = [os.fsdecode(word) for word in done.stdout.split(b"\0")[:-1]]
    found: dict[str, dict[str, str]] = {name: {} for name in names}
    for name, attribute, value in zip(words[::3], words[1::3], words[2::3], strict=True):
        found[name][attribute] = value
    return found


def _check_ordinary(top: Path, name: str) -> None:
    """Raises Refused E0232 for a pipe in place of a .gitattributes file: git would block on it."""
    for folder in Path(name).parents:
        path = top / folder / ".gitattributes"
        if path.exists() and not path.is_file() and not path.is_dir():
            raise unreadable(f"{os.path.relpath(path, top)} is a pipe or a device, not a file")


def by_attributes(repository: Repository, name: str, sha: str, said: Mapping[str, str]) -> Verdict:
    """The verdict on a file whose bytes differ from the commit's, by its attributes."""
    filter, settings = said.get("filter", ""), repository.settings
    is_filtered = any(f"filter.{filter}.{word}" in settings for word in ("clean", "process")) and filter != "lfs"
    if is_filtered or any(said.get(word, "") not in UNSET for word in ("ident", "working-tree-encoding")):
        return "unknown"
    text, is_auto = _text(said, settings)
    if not text:
        return "other"
    same = converted(repository.top / name, repository.algorithm, repository.top, is_auto) == sha
    return "same" if same else "other"


def _text(said: Mapping[str, str], settings: Mapping[str, str]) -> tuple[bool, bool]:
    """Whether line ends are converted, and whether only for files that look like text."""
    text = said.get("text", "unspecified")
    if text == "unspecified" and (old := said.get("crlf", "unspecified")) != "unspecified":
        text = "unset" if old == "unset" else "set"
    if text == "unset":
        return False, False
    if text == "auto":
        return True, True
    if text != "unspecified" or said.get("eol", "unspecified") in ("lf", "crlf"):
        return True, False
    is_wanted = settings.get("core.autocrlf", "false").lower() in ("true", "input", "yes", "on", "1", "")
    return is_wanted, True
