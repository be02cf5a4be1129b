"""Which rows of a table have an answer for a head, where several heads read it: a bit for each row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

LEAST = 1 << 12  # bytes by which a table's bits grow


class Answered:
    """Numbers of rows by table; a million of them take an eighth of a megabyte."""

    def __init__(self) -> None:
        self.tables: dict[int, bytearray] = {}

    def add(self, table: int, number: int) -> None:
        """Takes up a row by its number."""
        bits = self.tables.setdefault(table, bytearray())
        if number >> 3 >= len(bits):
            bits.extend(bytes(max(LEAST, (number >> 3) + 1 - len(bits))))
        bits[number >> 3] |= 1 << (number & 7)


def patterns(heads: Mapping[str, Answered]) -> dict[tuple[str, ...], int]:
    """How many rows have answers for just which of some heads, in the order in which heads first meet a row of each.

    >>> first, second = Answered(), Answered()
    >>> first.add(0, 7); first.add(0, 9); second.add(0, 9)
    >>> patterns({"a": first, "b": second})
    {('a',): 1, ('a', 'b'): 1}
    """
    counts: dict[tuple[str, ...], int] = {}
    begins: dict[tuple[str, ...], tuple[int, int, int]] = {}  # the first head, and the first row that it has with them
    order = [*heads]
    for table in sorted({table for each in heads.values() for table in each.tables}):
        sets = [int.from_bytes(each.tables.get(table, b""), "little") for each in heads.values()]
        for names, rows in _parted(order, sets):
            counts[names] = counts.get(names, 0) + rows.bit_count()
            begins.setdefault(names, (order.index(names[0]), table, (rows & -rows).bit_length()))
    return {names: counts[names] for names in sorted(counts, key=begins.__getitem__)}


def _parted(names: Sequence[str], sets: Sequence[int]) -> Iterator[tuple[tuple[str, ...], int]]:
    """Each combination of names that some element has, and the set of elements that are in just these."""
    parts: list[tuple[tuple[str, ...], int]] = []
    seen = 0
    for name, own in zip(names, sets, strict=True):
        divided = [((*has, name), rows & own) for has, rows in parts] + [(has, rows & ~own) for has, rows in parts]
        parts = [part for part in (*divided, ((name,), own & ~seen)) if part[1]]
        seen |= own
    yield from parts
