"""Ctrl-C: heard wherever it falls, and held back where a step should end before it ends the program."""

from __future__ import annotations

import _thread
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

LATER = 0.05  # seconds, more than a finaliser takes
_heard: list[bool] = []  # each Ctrl-C: libraries lose what was raised, or make another error of it


def listen() -> None:
    """Lets this process hear every Ctrl-C: for a program that is graftc alone; where it is ignored, it stays so."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)
        sys.unraisablehook = _again


def deaf() -> None:
    """Ignores Ctrl-C from now on: all is done but the end of the process, in which it would be a stack of calls."""
    if _is_ours(signal.getsignal(signal.SIGINT)):
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def was_interrupted() -> bool:
    """Whether there was a Ctrl-C, whatever became of it."""
    return bool(_heard)


def heed() -> None:
    """Raises KeyboardInterrupt where an earlier one was lost."""
    if _heard:
        raise KeyboardInterrupt


def _interrupt(number: int, frame: Any) -> None:
    _heard.append(True)
    raise KeyboardInterrupt


def _again(lost: Any) -> None:
    """An interrupt that fell where nothing can be raised, such as in a finaliser, comes once more, after that."""
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
    """Yields a function that tells whether Ctrl-C was pressed; pressed again, it interrupts at once.

    Raises KeyboardInterrupt at the end where nobody did.
    """
    before = signal.getsignal(signal.SIGINT)
    is_ours = threading.current_thread() is threading.main_thread() and _is_ours(before)
    pressed: list[bool] = []

    def note(number: int, frame: Any) -> None:
        if pressed:
            raise KeyboardInterrupt
        pressed.append(True)

    if is_ours:  # a program around us may have handlers of its own, and only the main thread may set one
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
