"""Remembers the inputs of a split by hash, in memory that does not grow with rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple
from zlib import adler32, crc32

CAP = 1 << 16  # the most inputs kept
_TARGET = (1 << 32) - 1


class Again(NamedTuple):
    """Repetitions of an input: their number and the first place, with the target of the first row and with another."""

    alike: int = 0
    unlike: int = 0
    place_alike: int = 0
    place_unlike: int = 0


class Found(NamedTuple):
    """The number of rows that repeat inputs, and pairs of places (earlier, later); `is_exact` unless sampled."""

    rows: int
    pairs: tuple[tuple[int, int], ...]
    is_exact: bool


class Sketch:
    """8-byte hashes of a split's inputs: of all inputs up to CAP, then of one input in 2, in 4, in 8 …

    An input is kept while the last bits of its hash are zero. The sketch of the training data gets the sketches of the
    other splits, and finds every input that these keep, however many rows it sees.
    """

    def __init__(self, sought: Sequence[Sketch] = ()) -> None:
        self.bits = self.mask = 0  # one input in 2**bits is kept: those whose hash has no bit of the mask
        self.first: dict[int, int] = {}  # hash → place and hash of target of its first row
        self.again: dict[int, Again] = {}
        self.sought = [other.first for other in sought if other.first]
        self.met: dict[int, int] = {}  # hash kept by another sketch → place of its first row here

    def add(self, value: object, target: str, place: int) -> None:
        """Adds one row: its input, its target, and its place."""
        raw = value if isinstance(value, bytes) else (value if isinstance(value, str) else repr(value)).encode()
        low = crc32(raw)
        is_kept = not low & self.mask
        if not is_kept and not self.sought:
            return
        key = low | adler32(raw) << 32  # two checksums of different kinds, because each alone collides for some texts
        for others in self.sought:
            if key in others:
                self.met.setdefault(key, place)
        if is_kept:
            self._keep(key, place << 32 | crc32(target.encode()))

    def _keep(self, key: int, entry: int) -> None:
        known = self.first.setdefault(key, entry)
        if known is not entry:
            self._repeat(key, known, entry)
        elif len(self.first) > CAP:
            self._thin()

    def _repeat(self, key: int, known: int, entry: int) -> None:
        last, place = self.again.get(key, Again()), entry >> 32
        if (known ^ entry) & _TARGET:
            self.again[key] = last._replace(unlike=last.unlike + 1, place_unlike=last.place_unlike or place)
        else:
            self.again[key] = last._replace(alike=last.alike + 1, place_alike=last.place_alike or place)

    def _thin(self) -> None:
        self.bits += 1
        self.mask = mask = (1 << self.bits) - 1
        self.first = {key: entry for key, entry in self.first.items() if not key & mask}
        self.again = {key: again for key, again in self.again.items() if not key & mask}

    def repeated(self) -> Found:
        """Rows whose input and target occur in an earlier row."""
        rows = sum(again.alike for again in self.again.values())
        return self._found(rows, ((key, again.place_alike) for key, again in self.again.items() if again.alike))

    def contradicted(self) -> Found:
        """Rows of inputs that occur with different targets."""
        unlike = {key: again for key, again in self.again.items() if again.unlike}
        rows = sum(1 + again.alike + again.unlike for again in unlike.values())
        return self._found(rows, ((key, again.place_unlike) for key, again in unlike.items()))

    def _found(self, rows: int, places: Iterator[tuple[int, int]]) -> Found:
        pairs = sorted(((self.first[key] >> 32, place) for key, place in places), key=lambda pair: pair[1])
        return Found(rows << self.bits, tuple(pairs), self.bits == 0)

    def shared(self, train: Sketch) -> Found:
        """Rows whose input occurs in `train`, which looked for it; pairs of a place there and a place here."""
        common = [key for key in self.first if key in train.met]
        repeats = (self.again.get(key, Again()) for key in common)
        rows = len(common) + sum(again.alike + again.unlike for again in repeats)
        pairs = sorted(((train.met[key], self.first[key] >> 32) for key in common), key=lambda pair: pair[1])
        return Found(rows << self.bits, tuple(pairs), self.bits == 0)
