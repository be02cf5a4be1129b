"""The store: finished stages by key. A folder that exists there is complete."""

from __future__ import annotations

import errno
import fcntl
import json
import math
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from .diagnostics import Refused
from .digest import file_sha256
from .homes import default_root as default_root

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Store:
    """Content-addressed folders of stage outputs under one root."""

    def __init__(self, root: Path) -> None:
        self.root = root.expanduser().absolute()  # links inside stages must hold from every folder

    @property
    def digests(self) -> Path:
        """Where hashes of large files are remembered."""
        return self.root / "digests"

    def path(self, stage: str, key: str) -> Path:
        """Where a stage's output lies once it is complete."""
        return self.root / "stages" / stage / key

    def record(self, stage: str, key: str) -> Path:
        """The file that says what a stage's key was made of and what its output's files are; touched when used."""
        return self.root / "records" / stage / f"{key}.json"

    def staging(self, stage: str, key: str) -> Path:
        """Where a stage's output is made."""
        return self.root / "staging" / f"{stage}-{key}"

    def make(
        self,
        stage: str,
        key: str,
        run: Callable[[Path], None],
        resumes: bool = False,
        waits: Callable[[], None] = lambda: None,
        made: Mapping[str, Any] | None = None,
    ) -> Path:
        """The output of a stage, made now unless it is there; `made` is what its key was made of.

        `run` fills a staging folder, which is then renamed into place: whatever kills it leaves nothing half-made.
        With `resumes`, what an earlier attempt left in the staging folder is handed to it again. `waits` is called
        where another process makes the same. Raises OSError for a full disk, whatever `run` made of it.
        """
        final = self.path(stage, key)
        if final.is_dir():
            return final
        with self.lock(f"{stage}-{key}", waits):
            if final.is_dir():  # another process made it while we waited
                return final
            staging = self.staging(stage, key)
            if staging.exists() and not resumes:
                shutil.rmtree(staging)
            staging.mkdir(parents=True, exist_ok=True)
            with _orderly(staging, resumes):
                run(staging)
                _refuse_cut_arrays(staging)
                sync_tree(staging)
                self._write_record(stage, key, staging, made or {})
            final.parent.mkdir(parents=True, exist_ok=True)
            os.rename(staging, final)
            sync(final.parent)
        return final

    def _write_record(self, stage: str, key: str, folder: Path, made: Mapping[str, Any]) -> None:
        path = self.record(stage, key)
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"made": made, "files": contents(folder)})
        write_atomically(path, lambda staged: staged.write_text(text, encoding="utf-8"))

    def recorded(self, stage: str, key: str) -> dict[str, Any]:
        """What the record of an output says, empty where there is none that can be read."""
        try:
            found = json.loads(self.record(stage, key).read_bytes())
        except (OSError, ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}

    def files(self, stage: str, key: str) -> dict[str, Any]:
        """Size and SHA-256 of every file of a finished output, by its path in there; empty where no record tells."""
        found = self.recorded(stage, key).get("files")
        return found if isinstance(found, dict) else {}

    def offer(self, likeness: str, stage: str, key: str) -> None:
        """Notes which output is had by whoever asks for one of this likeness, once it is finished."""
        path = self._likeness(likeness)
        path.parent.mkdir(parents=True, exist_ok=True)
        with self.lock(f"like-{likeness}"):  # two builds may make the same by other keys
            write_atomically(path, lambda staged: staged.write_text(json.dumps([stage, key])))

    def take(self, likeness: str, out: Path) -> str | None:
        """Links the files of an output of this likeness into a folder, in place of what an earlier attempt left there.

        They lie on the disk once, and are there for as long as either output is. Its stage; None where there is none.
        """
        try:
            pointer = self._likeness(likeness)
            stage, key = json.loads(pointer.read_bytes())
            with self.lock(f"use-{stage}-{key}", kind=fcntl.LOCK_SH):  # no collector takes it meanwhile
                source, whole = self.path(stage, key), self.files(stage, key)
                if not whole or {name: list(file) for name, file in contents(source).items()} != whole:
                    return None  # collected, or damaged since it was made
                _refuse_without_links(pointer)
                for path in out.iterdir():
                    path.unlink()
                for path in source.iterdir():
                    os.link(path, out / path.name)
        except (OSError, ValueError, TypeError, RecursionError):  # none was offered, or the file system has no links
            return None
        return str(stage)

    def _likeness(self, likeness: str) -> Path:
        return self.root / "likenesses" / likeness

    @contextmanager
    def using(self, outputs: Iterable[tuple[str, str]]) -> Iterator[None]:
        """Keeps outputs, by stage and key, from being collected, those too that are still to be made.

        All of them count as used at one moment, the end.
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
                        os.utime(self.record(stage, key), (now, now))

    @contextmanager
    def lock(self, name: str, waits: Callable[[], None] = lambda: None, kind: int = fcntl.LOCK_EX) -> Iterator[None]:
        """Holds a name against other processes; the system lets go of it when this one ends, however it ends.

        What `waits` raises where another process holds the name, ends the attempt.
        """
        locks = self.root / "locks"
        locks.mkdir(parents=True, exist_ok=True)
        with (locks / name).open("w") as file:
            try:
                fcntl.flock(file, kind | fcntl.LOCK_NB)
            except BlockingIOError:
                waits()
                fcntl.flock(file, kind)
            yield


def _refuse_without_links(path: Path) -> None:
    """Raises OSError where the file system has no links, tried beside a small file."""
    tried = path.with_name(f"{path.name}.tried")
    tried.unlink(missing_ok=True)  # of an attempt that was killed
    os.link(path, tried)
    tried.unlink()


@contextmanager
def _orderly(staging: Path, resumes: bool) -> Iterator[None]:
    """Throws away what an attempt that failed can't use again; what a refusal shows as evidence stays."""
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
    """The error of a full disk, also where a library has wrapped it in one of its own."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in FULL:
            return OSError(error.errno, os.strerror(error.errno), error.filename or str(folder))
        for number in FULL:
            if os.strerror(number) in str(error):
                return OSError(number, os.strerror(number), str(folder))
        error = error.__cause__ or error.__context__
    return None


def _refuse_cut_arrays(folder: Path) -> None:
    """Raises OSError for an array that lacks its end: numpy does not tell when the disk was full for the last bytes."""
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


def contents(folder: Path) -> dict[str, tuple[int, str]]:
    """Size in bytes and SHA-256 of every file in a folder, by its path in there."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): (path.stat().st_size, file_sha256(path)) for path in files}


def sync_tree(folder: Path) -> None:
    """Waits until a folder and all in it are on disk."""
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
    """Replaces a file in one step: readers see the old one or the new one, complete."""
    staged = path.with_name(path.name + ".partial")
    try:
        write(staged)
        sync(staged)
    except Exception:
        staged.unlink(missing_ok=True)  # on a full disk every byte counts
        raise
    os.replace(staged, path)
    sync(path.parent)
