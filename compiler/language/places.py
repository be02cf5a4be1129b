"""The keys of a spec whose values are paths."""

from __future__ import annotations

SPLITS = ("train", "validation", "test")
# places of a table's path, below its split
_TABLES: tuple[tuple[str, ...], ...] = ((), ("from",), ("*",), ("*", "from"))
# keys whose value is a path relative to the file that writes it; `*` is any item of a list
PATHS = frozenset(
    {("backbone", "from")}
    | {(*at, split, *inner) for at in (("data",), ("pretrain", "*", "data")) for split in SPLITS for inner in _TABLES}
    | {("retain", "data", *inner) for inner in _TABLES}
)


def is_path(keys: tuple[str | int, ...]) -> bool:
    """Whether the value at some keys is a path; keys below a head's entry count too.

    >>> is_path(("data", "train", 0, "from")), is_path(("heads", "topic", "data", "train")), is_path(("name",))
    (True, True, False)
    """
    steps = tuple("*" if isinstance(step, int) else step for step in keys)
    return steps in PATHS or (steps[:1] == ("heads",) and steps[2:] in PATHS)
