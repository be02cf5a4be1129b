"""Shared parts of verbs that take several specs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import TypeVar

from ..diagnostics import Refused
from ..renderers.text import text

Found = TypeVar("Found")


def of_each(names: Iterable[str], act: Callable[[str], Found]) -> dict[str, Found]:
    """The result of `act` for each name; prints all diagnostics, and raises the last Refused."""
    found: dict[str, Found] = {}
    wrong: list[Refused] = []
    for name in names:
        try:
            found[name] = act(name)
        except Refused as refused:
            wrong.append(refused)
    for earlier in wrong[:-1]:
        print(text(earlier.diagnostics, earlier.source) + "\n", file=sys.stderr)  # type: ignore[arg-type]
    if wrong:
        raise wrong[-1]
    return found
