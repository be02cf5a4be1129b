"""Reports progress: bars on a terminal, lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..diagnostics import escaped

PAUSE = 10.0  # seconds between lines in a log


class Progress:
    """Reports the progress of stages; `is_quiet` prints nothing."""

    def __init__(self, is_quiet: bool = False) -> None:
        self.is_quiet = is_quiet
        self.is_terminal = sys.stderr.isatty() and not is_quiet

    def say(self, line: str) -> None:
        """Prints a line beside the bars."""
        if not self.is_quiet:
            print(escaped(line), file=sys.stderr, flush=True)

    @contextmanager
    def steps(self, title: str, total: int, done: int = 0) -> Iterator[Any]:
        """Yields a function `advance(count, note)` for work of `total` steps."""
        if self.is_terminal:
            with self._bar(title, total, done) as advance:
                yield advance
        else:
            yield self._lines(title, total, done)

    @contextmanager
    def _bar(self, title: str, total: int, done: int) -> Iterator[Any]:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars

        columns = (
            TextColumn("  {task.description:<10}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
        )
        with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
            task = bars.add_task(title, total=total, completed=done, note="")

            def advance(count: int = 1, note: str | None = None) -> None:
                bars.update(task, advance=count)
                if note is not None:
                    bars.update(task, note=note)

            yield advance

    def _lines(self, title: str, total: int, done: int) -> Any:
        state: dict[str, Any] = {"done": done, "said": time.monotonic(), "note": ""}

        def advance(count: int = 1, note: str | None = None) -> None:
            state["done"] += count
            state["note"] = state["note"] if note is None else note
            if time.monotonic() - state["said"] > PAUSE:
                state["said"] = time.monotonic()
                self.say(f"  {title:<10} {state['done']}/{total} {state['note']}".rstrip())

        return advance
