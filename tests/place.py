"""Where a run of tests takes place: which cores are its own, and where it writes."""

from __future__ import annotations

import os
from pathlib import Path

MEMORY = Path("/dev/shm")
ENOUGH = 4 << 30  # bytes that must be free in memory; a run writes a third of it


def keep_to_own_cores() -> None:
    """Gives each worker its share of the cores: threads of two that want the same wait for each other all the time."""
    name, count = os.environ.get("PYTEST_XDIST_WORKER", ""), int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if name.startswith("gw") and hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) >= count > 1:
            os.sched_setaffinity(0, cores[int(name[2:]) % count :: count])


def use_memory() -> None:
    """Lets pytest make its temporary folders in memory, where there is plenty: a build waits for the disk 200 times."""
    if "PYTEST_DEBUG_TEMPROOT" not in os.environ and _is_fit(MEMORY):
        os.environ["PYTEST_DEBUG_TEMPROOT"] = str(MEMORY)


def _is_fit(folder: Path) -> bool:
    """Whether files in a folder can be many and be run."""
    if not os.access(folder, os.W_OK):
        return False
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize >= ENOUGH and not found.f_flag & os.ST_NOEXEC
