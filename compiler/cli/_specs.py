"""What commands that take several specs share."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import TypeVar

from ..diagnostics import Refused
from ..renderers.text import text

Found = TypeVar("Found")


def of_each(names: Iterable[str], act: Callable[[str], Found]) -> dict[str, Found]:
    """What `act` gives for each name; what is wrong with any of them is said of all, the last of it by raising Refused."""
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
