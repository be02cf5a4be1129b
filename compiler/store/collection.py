"""What lies in a store: how large it is, when it was last used, whether it is whole; and its collection."""

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
# what a record tells of a key, and of which kind that is
PARTS = {"plan": str, "stage": str, "record": dict, "inputs": dict, "versions": dict, "machine": dict}


@dataclass(frozen=True)
class Entry:
    """The output of a stage, finished or left in the making by a build that was interrupted."""

    stage: str
    key: str
    folder: Path
    sizes: Mapping[tuple[int, int], int]  # in bytes, by device and inode: a file may lie in several outputs
    used: float  # seconds since 1970
    is_finished: bool
    made: Mapping[str, Any]  # what its key was made of, and the name of the plan; empty where that was not recorded
    bytes: int = 0  # of a file that lies in several outputs of the store, its share

    @property
    def plan(self) -> str:
        """The name of the plan that it was made for, first."""
        return str(self.made.get("plan", ""))


class _InUse(Exception):
    pass


def entries(store: Store) -> list[Entry]:
    """Everything in a store, what was used last first, and of what was used at one moment the smallest."""
    found = [*_finished(store), *_unfinished(store)]
    times = Counter(inode for entry in found for inode in entry.sizes)
    every = [replace(each, bytes=sum(size // times[inode] for inode, size in each.sizes.items())) for each in found]
    return sorted(every, key=lambda entry: (-entry.used, entry.bytes, entry.stage, entry.key))


def _finished(store: Store) -> Iterator[Entry]:
    for folder in (store.root / "stages").glob("*/*"):
        record = store.record(folder.parent.name, folder.name)
        with suppress(FileNotFoundError):  # another process may collect it just now
            used = (record if record.is_file() else folder).stat().st_mtime
            told: Any = store.recorded(folder.parent.name, folder.name).get("made")
            made = told if _is_record(told) else {}
            yield Entry(folder.parent.name, folder.name, folder, _sizes(folder), used, True, made)


def _is_record(made: Any) -> bool:
    """Whether it is told as graftc tells it what a key was made of; any other telling counts as none."""
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
    """What is otherwise in a finished output than when it was written, in words; empty for one that is whole."""
    return store.flaws(entry.stage, entry.key, is_thorough=True)


def collect(
    store: Store, limit: int | None, before: float | None, told: Callable[[Entry], None] = lambda entry: None
) -> list[Entry]:
    """Removes what was used longest ago until a store has at most `limit` bytes, and all not used since `before`.

    Of what one build used the largest goes first, so that the fewest stages go. What a build uses stays, also where the
    limit is passed then. `told` hears of each before it goes.
    """
    every = entries(store)
    times, removed = Counter(inode for entry in every for inode in entry.sizes), []
    size = sum({inode: size for entry in every for inode, size in entry.sizes.items()}.values())
    for entry in reversed(every):
        is_old = before is not None and entry.used < before
        if is_old or (limit is not None and size > limit):
            removed += [entry] if remove(store, entry, told) else []
            if not entry.folder.is_dir():  # whoever took it
                times.subtract(entry.sizes.keys())
                size -= sum(each for inode, each in entry.sizes.items() if not times[inode])
    return removed


def remove(store: Store, entry: Entry, told: Callable[[Entry], None] = lambda entry: None) -> bool:
    """Takes an output out of a store, in one step for every reader; False where a build uses it, or another took it."""

    def give_up() -> None:
        raise _InUse

    try:
        with store.lock(f"use-{entry.stage}-{entry.key}", give_up), store.lock(f"{entry.stage}-{entry.key}", give_up):
            if not entry.folder.is_dir():
                return False
            told(entry)
            trash = store.folder("trash")  # which stays: another collector may be about to put something there
            os.rename(entry.folder, trash / f"{entry.stage}-{entry.key}-{os.getpid()}")
            store.record(entry.stage, entry.key).unlink(missing_ok=True)
    except _InUse:
        return False
    for left in trash.iterdir():  # also of a collector that was killed
        with suppress(OSError):
            discard(left)
    return True


def limit() -> int | None:
    """The bytes that $GRAFTC_STORE_LIMIT allows a store, None where it is not set; raises Refused E0417 for other words."""
    written = os.environ.get(LIMIT)
    if not written:
        return None
    try:
        return amount(written, SIZES)
    except ValueError:
        headline = f"{LIMIT} is {quote(written)}, which is not a size"
        raise Refused((Diagnostic("E0417", headline, help=f"set it as {LIMIT}=20GB"),), Status.USAGE) from None
