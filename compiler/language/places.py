"""Where a spec has paths."""

from __future__ import annotations

SPLITS = ("train", "validation", "test")
_TABLES: tuple[tuple[str, ...], ...] = ((), ("from",), ("*",), ("*", "from"))  # where the path of a table may stand
# keys with a path in them, relative to the file that writes it; `*` is any member of a list
PATHS = frozenset(
    {("backbone", "from")}
    | {(*at, split, *inner) for at in (("data",), ("pretrain", "*", "data")) for split in SPLITS for inner in _TABLES}
    | {("retain", "data", *inner) for inner in _TABLES}
)
