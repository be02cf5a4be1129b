"""What every test may rely on: an interrupt interrupts, however the run was started, and threads wait without spinning.

A worker has cores of its own, temporary folders lie in memory, and the longest files come first.
"""

from __future__ import annotations

import gc
import signal
import threading

import pytest

from graftc.compiler.machine import share_cores

from . import durations, place

# a run started in the background inherits SIGINT ignored, and hands that on to what it starts
if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# as a build does, and before any test loads torch: beside another busy process, a step of a tiny network spins for most
# of half a second, and takes milliseconds without
share_cores()
place.keep_to_own_cores()
place.use_memory()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the option that records."""
    parser.addoption("--record-durations", action="store_true", help=f"write what each file takes to {durations.NAME}")


def pytest_configure(config: pytest.Config) -> None:
    """Lets the order stand that durations give, which xdist makes one by numbers of tests."""
    config.pluginmanager.register(durations.Durations(config.getoption("--record-durations")))
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


def pytest_collection_finish() -> None:
    """Leaves what is there for good, all tests among it, out of every collection of garbage to come."""
    gc.collect()
    gc.freeze()
