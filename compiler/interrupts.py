"""Handles Ctrl-C: never loses one, and delays it where a step should finish first."""

from __future__ import annotations

import _thread
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

LATER = 0.05  # seconds, longer than a finalizer runs
_heard: list[bool] = []  # one item for each Ctrl-C, because libraries may swallow or replace the exception


def listen() -> None:
    """Records every Ctrl-C of this process, for a program that is graftc alone; leaves an ignored SIGINT ignored."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)
        sys.unraisablehook = _again


def deaf() -> None:
    """Ignores Ctrl-C from now on, because at the end of the process it would print a traceback."""
    if _is_ours(signal.getsignal(signal.SIGINT)):
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def was_interrupted() -> bool:
    """Whether Ctrl-C was pressed, even if the exception was lost."""
    return bool(_heard)


def heed() -> None:
    """Raises KeyboardInterrupt if an earlier one was lost."""
    if _heard:
        raise KeyboardInterrupt


def _interrupt(number: int, frame: Any) -> None:
    _heard.append(True)
    raise KeyboardInterrupt


def _again(lost: Any) -> None:
    """Raises an interrupt again soon, if it fell where nothing can be raised, such as in a finalizer."""
    if issubclass(lost.exc_type, KeyboardInterrupt):
        once_more = threading.Timer(LATER, _thread.interrupt_main)
        once_more.daemon = True
        once_more.start()
    else:
        sys.__unraisablehook__(lost)


def _is_ours(handler: Any) -> bool:
    return handler is signal.default_int_handler or handler is _interrupt


@contextmanager
def held_back() -> Iterator[Callable[[], bool]]:
    """Yields a function that tells whether Ctrl-C was pressed; a second Ctrl-C interrupts at once.

    Raises KeyboardInterrupt at the end, if Ctrl-C was pressed and nothing was raised.
    """
    before = signal.getsignal(signal.SIGINT)
    is_ours = threading.current_thread() is threading.main_thread() and _is_ours(before)
    pressed: list[bool] = []

    def note(number: int, frame: Any) -> None:
        if pressed:
            raise KeyboardInterrupt
        pressed.append(True)

    if is_ours:  # other programs may have their own handlers, and only the main thread may set one
        signal.signal(signal.SIGINT, note)
    try:
        yield lambda: bool(pressed)
    finally:
        if is_ours:
            signal.signal(signal.SIGINT, before)
        if pressed and before is _interrupt:
            _heard.append(True)
    if pressed:
        raise KeyboardInterrupt
