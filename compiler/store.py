"""The store: finished stages by key. A folder that exists there is complete."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def default_root() -> Path:
    """$GRAFTC_STORE, else $XDG_CACHE_HOME/graftc, else ~/.cache/graftc."""
    if os.environ.get("GRAFTC_STORE"):
        return Path(os.environ["GRAFTC_STORE"])
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "graftc"


class Store:
    """Content-addressed folders of stage outputs under one root."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def digests(self) -> Path:
        """Where hashes of large files are remembered."""
        return self.root / "digests"

    def path(self, stage: str, key: str) -> Path:
        """Where a stage's output lies once it is complete."""
        return self.root / "stages" / stage / key

    def make(self, stage: str, key: str, run: Callable[[Path], None], resumes: bool = False) -> Path:
        """The output of a stage, made now unless it is there.

        `run` fills a staging folder, which is then renamed into place: whatever kills it leaves nothing half-made.
        With `resumes`, what an earlier attempt left in the staging folder is handed to it again.
        """
        final = self.path(stage, key)
        if final.is_dir():
            return final
        with self._lock(f"{stage}-{key}"):
            if final.is_dir():  # another process made it while we waited
                return final
            staging = self.root / "staging" / f"{stage}-{key}"
            if staging.exists() and not resumes:
                shutil.rmtree(staging)
            staging.mkdir(parents=True, exist_ok=True)
            run(staging)
            publish(staging, final)
        return final

    @contextmanager
    def _lock(self, name: str) -> Iterator[None]:
        locks = self.root / "locks"
        locks.mkdir(parents=True, exist_ok=True)
        with (locks / name).open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def publish(staging: Path, final: Path) -> None:
    """Makes a finished folder visible under its final name, durably."""
    for path in staging.rglob("*"):
        sync(path)
    sync(staging)
    final.parent.mkdir(parents=True, exist_ok=True)
    os.rename(staging, final)
    sync(final.parent)


def sync(path: Path) -> None:
    """Waits until a file or folder is on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Replaces a file in one step: readers see the old one or the new one, complete."""
    staged = path.with_name(path.name + ".partial")
    write(staged)
    sync(staged)
    os.replace(staged, path)
    sync(path.parent)
