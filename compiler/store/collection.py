"""The contents of a store: size, last use and integrity of each output, and their garbage collection."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..diagnostics import Diagnostic, Refused, Status, quote
from ..units import SIZES, amount
from .integrity import discard
from .store import Store

LIMIT = "GRAFTC_STORE_LIMIT"
# the parts of a record's `made`, with their types
PARTS = {"plan": str, "stage": str, "record": dict, "inputs": dict, "versions": dict, "machine": dict}


@dataclass(frozen=True)
class Entry:
    """The output of a stage: finished, or left unfinished by an interrupted build."""

    stage: str
    key: str
    folder: Path
    sizes: Mapping[tuple[int, int], int]  # in bytes, by device and inode: several outputs may share a file
    used: float  # seconds since 1970
    is_finished: bool
    made: Mapping[str, Any]  # the inputs of its key, and the name of the plan; empty if unrecorded
    bytes: int = 0  # a file shared by several outputs counts in equal parts

    @property
    def plan(self) -> str:
        """The name of the plan for which it was first made."""
        return str(self.made.get("plan", ""))


class _InUse(Exception):
    pass


def entries(store: Store) -> list[Entry]:
    """Every output in a store, the last used first; of outputs used at the same moment, the smallest first."""
    found = [*_finished(store), *_unfinished(store)]
    times = Counter(inode for entry in found for inode in entry.sizes)
    every = [replace(each, bytes=sum(size // times[inode] for inode, size in each.sizes.items())) for each in found]
    return sorted(every, key=lambda entry: (-entry.used, entry.bytes, entry.stage, entry.key))


def _finished(store: Store) -> Iterator[Entry]:
    for folder in (store.root / "stages").glob("*/*"):
        record = store.record(folder.parent.name, folder.name)
        with suppress(FileNotFoundError):  # another process may be removing it
            used = (record if record.is_file() else folder).stat().st_mtime
            told: Any = store.recorded(folder.parent.name, folder.name).get("made")
            made = told if _is_record(told) else {}
            yield Entry(folder.parent.name, folder.name, folder, _sizes(folder), used, True, made)


def _is_record(made: Any) -> bool:
    """Whether a record's `made` has the types that graftc writes; any other record counts as none."""
    return isinstance(made, dict) and all(isinstance(made[name], PARTS[name]) for name in PARTS.keys() & made.keys())


def _unfinished(store: Store) -> Iterator[Entry]:
    for folder in (store.root / "staging").glob("*"):
        stage, _, key = folder.name.rpartition("-")
        with suppress(FileNotFoundError):
            yield Entry(stage, key, folder, _sizes(folder), folder.stat().st_mtime, False, {})


def _sizes(folder: Path) -> dict[tuple[int, int], int]:
    found = (path.lstat() for path in folder.rglob("*") if not path.is_dir())
    return {(status.st_dev, status.st_ino): status.st_size for status in found}


def damage(store: Store, entry: Entry) -> list[str]:
    """The differences of a finished output from what was written, in words; empty for an intact one."""
    return store.flaws(entry.stage, entry.key, is_thorough=True)


def collect(
    store: Store, limit: int | None, before: float | None, told: Callable[[Entry], None] = lambda entry: None
) -> list[Entry]:
    """Removes the longest unused outputs until a store holds at most `limit` bytes, and any unused since `before`.

    `before` is in seconds since 1970. Of the outputs that one build used, the largest goes first, so that the fewest
    go. Outputs that a build is using stay, even above the limit. `told` is called with each entry before it is removed.
    """
    every = entries(store)
    times, removed = Counter(inode for entry in every for inode in entry.sizes), []
    size = sum({inode: size for entry in every for inode, size in entry.sizes.items()}.values())
    for entry in reversed(every):
        is_old = before is not None and entry.used < before
        if is_old or (limit is not None and size > limit):
            removed += [entry] if remove(store, entry, told) else []
            if not entry.folder.is_dir():  # removed here or by another process
                times.subtract(entry.sizes.keys())
                size -= sum(each for inode, each in entry.sizes.items() if not times[inode])
    return removed


def remove(store: Store, entry: Entry, told: Callable[[Entry], None] = lambda entry: None) -> bool:
    """Removes an output in one step for every reader; False if a build is using it or another process removed it."""

    def give_up() -> None:
        raise _InUse

    try:
        with store.lock(f"use-{entry.stage}-{entry.key}", give_up), store.lock(f"{entry.stage}-{entry.key}", give_up):
            if not entry.folder.is_dir():
                return False
            told(entry)
            trash = store.folder("trash")  # kept, because another collector may be about to use it
            os.rename(entry.folder, trash / f"{entry.stage}-{entry.key}-{os.getpid()}")
            store.record(entry.stage, entry.key).unlink(missing_ok=True)
    except _InUse:
        return False
    for left in trash.iterdir():  # including what a killed collector left
        with suppress(OSError):
            discard(left)
    return True


def limit() -> int | None:
    """The size in bytes that $GRAFTC_STORE_LIMIT allows, None if unset.

    Raises Refused E0417 for a value that is not a size.
    """
    written = os.environ.get(LIMIT)
    if not written:
        return None
    try:
        return amount(written, SIZES)
    except ValueError:
        headline = f"{LIMIT} is {quote(written)}, which is not a size"
        raise Refused((Diagnostic("E0417", headline, help=f"set it as {LIMIT}=20GB"),), Status.USAGE) from None
