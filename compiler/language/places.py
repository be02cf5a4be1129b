"""Where a spec has paths."""

from __future__ import annotations

SPLITS = ("train", "validation", "test")
_TABLES: tuple[tuple[str, ...], ...] = ((), ("from",), ("*",), ("*", "from"))  # where the path of a table may stand
# keys with a path in them, relative to the file that writes it; `*` is any member of a list
PATHS = frozenset({("backbone", "from")} | {("data", split, *inner) for split in SPLITS for inner in _TABLES})
