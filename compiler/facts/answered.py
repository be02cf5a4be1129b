"""The rows of tables that have a target for a head, where several heads read them: one bit for each row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

LEAST = 1 << 12  # bytes by which the bits of a table grow


class Answered:
    """Sets of row numbers by table; a million rows take an eighth of a megabyte."""

    def __init__(self) -> None:
        self.tables: dict[int, bytearray] = {}

    def add(self, table: int, number: int) -> None:
        """Adds a row by its number."""
        bits = self.tables.setdefault(table, bytearray())
        if number >> 3 >= len(bits):
            bits.extend(bytes(max(LEAST, (number >> 3) + 1 - len(bits))))
        bits[number >> 3] |= 1 << (number & 7)


def patterns(heads: Mapping[str, Answered]) -> dict[tuple[str, ...], int]:
    """The number of rows for each set of heads that they have targets for, ordered by the first such row.

    >>> first, second = Answered(), Answered()
    >>> first.add(0, 7); first.add(0, 9); second.add(0, 9)
    >>> patterns({"a": first, "b": second})
    {('a',): 1, ('a', 'b'): 1}
    """
    counts: dict[tuple[str, ...], int] = {}
    begins: dict[tuple[str, ...], tuple[int, int, int]] = {}  # (place of the first head, table, first row)
    order = [*heads]
    for table in sorted({table for each in heads.values() for table in each.tables}):
        sets = [int.from_bytes(each.tables.get(table, b""), "little") for each in heads.values()]
        for names, rows in _parted(order, sets):
            counts[names] = counts.get(names, 0) + rows.bit_count()
            begins.setdefault(names, (order.index(names[0]), table, (rows & -rows).bit_length()))
    return {names: counts[names] for names in sorted(counts, key=begins.__getitem__)}


def _parted(names: Sequence[str], sets: Sequence[int]) -> Iterator[tuple[tuple[str, ...], int]]:
    """Each set of names that some rows have, with exactly these rows as bits."""
    parts: list[tuple[tuple[str, ...], int]] = []
    seen = 0
    for name, own in zip(names, sets, strict=True):
        divided = [((*has, name), rows & own) for has, rows in parts] + [(has, rows & ~own) for has, rows in parts]
        parts = [part for part in (*divided, ((name,), own & ~seen)) if part[1]]
        seen |= own
    yield from parts
