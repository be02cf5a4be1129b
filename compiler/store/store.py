"""The store: outputs of finished stages by key; a folder that exists there is complete."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import shutil
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from ..diagnostics import Refused
from .hashes import digest
from .integrity import contents, differences, discard, entries_of, is_untouched, refuse_cut_arrays
from .ownership import (
    make_file,
    make_folders,
    opened_own,
    read_own,
    require_above,
    require_folder,
    require_owner,
    require_root,
    shut,
    tightened,
    trusted,
)

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
FOLDERS = frozenset({"stages", "records", "staging", "locks", "digests", "content-keys", "trash", "headers"})
ABSENT = "it is not there"
UNRECORDED = "its record is missing: what it held can't be told"


class Store:
    """Outputs of stages in content-addressed folders under one root.

    Files that other users could have written are not used.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.expanduser().absolute()  # links inside stages must work from every folder
        self.tightened = 0  # the number of entries from which write bits of others were removed
        self._users: frozenset[int] = frozenset()

    @property
    def digests(self) -> Path:
        """The folder that remembers hashes of large files."""
        return self.root / "digests"

    def path(self, stage: str, key: str) -> Path:
        """The folder of a stage's complete output."""
        return self.root / "stages" / stage / key

    def record(self, stage: str, key: str) -> Path:
        """The file that records the inputs of a stage's key and the files of its output; its time is the last use."""
        return self.root / "records" / stage / f"{key}.json"

    def staging(self, stage: str, key: str) -> Path:
        """The folder in which a stage's output is made."""
        return self.root / "staging" / f"{stage}-{key}"

    @property
    def users(self) -> frozenset[int]:
        """The users whose files count; raises Refused E0426 for a store that others may change.

        Write bits of others are removed where possible; `tightened` counts them.
        """
        if self._users or not os.path.lexists(self.root):
            return self._users or trusted(self.root)
        users = trusted(self.root)
        self.tightened += require_root(self.root, users, FOLDERS)
        for name in FOLDERS:
            with suppress(FileNotFoundError):
                self.tightened += require_folder(self.root / name, users)
        self._users = users
        return users

    def folder(self, *names: str) -> Path:
        """A folder of the store, made if missing; raises Refused E0426 for one that belongs to another user."""
        if not os.path.lexists(self.root):
            require_above(self.root)
            make_folders(self.root)
        users, path = self.users, self.root
        for name in names:
            path /= name
            make_folders(path)
            self.tightened += require_folder(path, users)
        return path

    def flaws(self, stage: str, key: str, is_thorough: bool = False) -> list[str]:
        """Why an output can't be used, in words: it is missing, or differs from its record; empty for an intact one.

        Every file is hashed once, and again if its size, times or inode changed, or if `is_thorough`. Raises Refused
        E0426 for files of another user.
        """
        folder, users = self.path(stage, key), self.users
        if not os.path.lexists(folder):
            return [ABSENT]
        if folder.is_symlink():
            return ["it is a link"]
        try:
            for each in (folder.parent, self.record(stage, key).parent, folder):
                self.tightened += require_folder(each, users)
            known = self._known(stage, key)
            if known is None:
                return [UNRECORDED]
            found, loose = entries_of(folder, users)
            self.tightened += loose
            return differences(folder, known, found, None if is_thorough else self.digests)
        except (FileNotFoundError, ValueError):  # a collector may be removing it, or its record is invalid
            return [UNRECORDED]

    def _known(self, stage: str, key: str) -> dict[str, Any] | None:
        """The files of an output by its record; None if the record is missing or belongs to another output."""
        path = self.record(stage, key)
        with suppress(OSError):
            status = path.lstat()
            if stat.S_ISREG(status.st_mode):
                require_owner(path, status, self.users)
                self.tightened += tightened(path, status)
        found = self.recorded(stage, key)
        made = {name: value for name, value in _object(found.get("made")).items() if name != "plan"}
        is_of_it = found["of"] == [stage, key] if "of" in found else digest(made) == key
        return _object(found.get("files")) if is_of_it and "files" in found else None

    def make(
        self,
        stage: str,
        key: str,
        run: Callable[[Path], None],
        resumes: bool = False,
        waits: Callable[[], None] = lambda: None,
        made: Mapping[str, Any] | None = None,
    ) -> Path:
        """The output of a stage, made now if it is missing; `made` holds the inputs of its key.

        `run` fills a staging folder, which is then renamed into place, so that a kill leaves no partial output. With
        `resumes`, `run` gets the files that an earlier attempt left. `waits` is called if another process is making the
        same output. Raises OSError for a full disk, whatever exception `run` raised for it.
        """
        final = self.path(stage, key)
        if not self.flaws(stage, key):
            return final
        with self.lock(f"{stage}-{key}", waits):
            if not self.flaws(stage, key):  # another process made it while we waited
                return final
            self.folder("stages", stage)
            self._set_aside(final)
            staging = self._prepared(stage, key, resumes)
            with _orderly(staging, resumes):
                run(staging)
                refuse_cut_arrays(staging)
                shut(staging)
                sync_tree(staging)
                self._write_record(stage, key, staging, made or {})
            os.rename(staging, final)
            sync(final.parent)
        return final

    def _set_aside(self, path: Path) -> None:
        """Removes an old entry at a path in one step for every reader."""
        if os.path.lexists(path):
            trash = self.folder("trash") / f"{path.parent.name}-{path.name}-{os.getpid()}"
            os.rename(path, trash)
            discard(trash)

    def _prepared(self, stage: str, key: str, resumes: bool) -> Path:
        """The folder in which a stage works, with an earlier attempt's files if no other user could change them."""
        self.folder("staging")
        staging = self.staging(stage, key)
        if os.path.lexists(staging) and not (resumes and is_untouched(staging, self.users)):
            discard(staging)
        make_folders(staging)
        return staging

    def _write_record(self, stage: str, key: str, folder: Path, made: Mapping[str, Any]) -> None:
        self.folder("records", stage)
        text = json.dumps({"of": [stage, key], "made": made, "files": contents(folder)})
        write_atomically(self.record(stage, key), lambda staged: staged.write_text(text, encoding="utf-8"))

    def recorded(self, stage: str, key: str) -> dict[str, Any]:
        """The record of an output; empty if there is no readable one."""
        try:
            return _object(json.loads(read_own(self.record(stage, key), self.users, is_strict=False) or b""))
        except (ValueError, RecursionError):
            return {}

    def files(self, stage: str, key: str) -> dict[str, Any]:
        """Size and SHA-256 of every file of a finished output, by path in the output; empty without a record."""
        return _object(self.recorded(stage, key).get("files"))

    def offer(self, content_key: str, stage: str, key: str) -> None:
        """Registers the output, once it is finished, as the one to reuse for this content key."""
        path = self.folder("content-keys") / content_key
        with self.lock(f"like-{content_key}"):  # builds with different keys may produce the same content
            write_atomically(path, lambda staged: staged.write_text(json.dumps([stage, key])))

    def take(self, content_key: str, out: Path) -> str | None:
        """Hard-links the files of an output with this content key into `out`, in place of an earlier attempt's files.

        The files use disk space once and exist as long as either output does. Returns the output's stage; None if there
        is none.
        """
        try:
            pointer = self.folder("content-keys") / content_key
            stage, key = json.loads(read_own(pointer, self.users) or b"")
            if not (_is_name(stage) and _is_name(key)):
                return None
            with self.lock(f"use-{stage}-{key}", kind=fcntl.LOCK_SH):  # keeps collectors away
                if self.flaws(stage, key):
                    return None  # collected, or damaged since it was made
                _refuse_without_links(pointer)
                for path in out.iterdir():
                    path.unlink()
                for path in self.path(stage, key).iterdir():
                    os.link(path, out / path.name)
        except (
            OSError,
            ValueError,
            TypeError,
            RecursionError,
        ):  # nothing is registered, or the file system has no links
            return None
        return str(stage)

    @contextmanager
    def using(self, outputs: Iterable[tuple[str, str]]) -> Iterator[None]:
        """Protects outputs, by stage and key, from collection, including those that are still to be made.

        At the end, all of them get the same time of last use.
        """
        every = list(outputs)
        with ExitStack() as held:
            for stage, key in every:
                held.enter_context(self.lock(f"use-{stage}-{key}", kind=fcntl.LOCK_SH))
            try:
                yield
            finally:
                now = time.time()
                for stage, key in every:
                    with suppress(OSError):
                        os.utime(self.record(stage, key), (now, now), follow_symlinks=False)

    @contextmanager
    def lock(self, name: str, waits: Callable[[], None] = lambda: None, kind: int = fcntl.LOCK_EX) -> Iterator[None]:
        """Holds a lock of this name against other processes; the system releases it when this process ends.

        `waits` is called if another process holds the lock; an exception from it ends the attempt.
        """
        with opened_own(self.folder("locks") / name) as file:
            try:
                fcntl.flock(file, kind | fcntl.LOCK_NB)
            except BlockingIOError:
                waits()
                fcntl.flock(file, kind)
            yield


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _is_name(word: Any) -> bool:
    """Whether a word names an entry of a folder and can't lead out of it."""
    return isinstance(word, str) and bool(re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", word))


def _refuse_without_links(path: Path) -> None:
    """Raises OSError where the file system has no hard links; tried beside `path`."""
    tried = path.with_name(f"{path.name}.tried")
    tried.unlink(missing_ok=True)  # left by a killed attempt
    os.link(path, tried)
    tried.unlink()


@contextmanager
def _orderly(staging: Path, resumes: bool) -> Iterator[None]:
    """Removes the files of a failed attempt that can't be resumed; the evidence of a refusal stays."""
    try:
        yield
    except BaseException as error:
        full = full_disk(error, staging)
        if not resumes and (full or not isinstance(error, Refused)):
            shutil.rmtree(staging, ignore_errors=True)
        if full:
            raise full from error
        raise


def full_disk(error: BaseException | None, folder: Path) -> OSError | None:
    """The error of a full disk, even if a library wrapped it in another exception; None for any other error."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in FULL:
            return OSError(error.errno, os.strerror(error.errno), error.filename or str(folder))
        for number in FULL:
            if os.strerror(number) in str(error):
                return OSError(number, os.strerror(number), str(folder))
        error = error.__cause__ or error.__context__
    return None


def sync_tree(folder: Path) -> None:
    """Waits until a folder and everything in it are on disk."""
    for path in folder.rglob("*"):
        sync(path)
    sync(folder)


def sync(path: Path) -> None:
    """Waits until a file or folder is on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_array(path: Path, array: np.ndarray) -> None:
    """Replaces a .npy file in one step."""

    def write(staged: Path) -> None:
        with staged.open("wb") as file:
            np.save(file, array)

    write_atomically(path, write)


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Replaces a file in one step: readers see the old file or the complete new one."""
    staged = path.with_name(path.name + ".partial")
    try:
        make_file(staged)  # for its owner only; replaces a link instead of following it
        write(staged)
        sync(staged)
    except BaseException:
        staged.unlink(missing_ok=True)  # frees its bytes on a full disk
        raise
    os.replace(staged, path)
    sync(path.parent)
