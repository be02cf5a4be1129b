"""Reads the sizes of a Parquet file's pages before any page is decompressed.

A page of a few bytes may claim gigabytes, and the file's footer may be wrong about it. Decoders follow the headers of
pages, so these are read here: structs of Thrift's compact protocol.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from . import Malformed

HEADER = 1 << 16  # bytes of a page's header that are read first
LONGEST = 1 << 24  # the most bytes of a header, which may hold the least and the largest value of a page
LARGEST = 1 << 30  # the most bytes of a decompressed page
SMALL = 32 << 20  # decompressed bytes up to which any compression ratio is allowed
TIGHTEST = 200  # the highest compression ratio of a larger page
FEWEST = 1_000_000  # number of values that a column may have in any file
PER_BYTE = 100  # the most values for each byte of the file, in a column with more values
DEEPEST = 8  # the deepest nesting of structs


@dataclass(frozen=True)
class Page:
    """The header of a page: bytes compressed and decompressed, and its number of values."""

    unpacked: int
    packed: int
    values: int


class Pages:
    """The pages of a file, row group by row group; `size` is the file's size in bytes."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self.file, self.size = file, size
        self.values: Counter[str] = Counter()  # column → values in the groups so far

    def largest(self, group: Any) -> int:
        """The sum over a group's columns of their largest pages, in decompressed bytes.

        Raises Malformed for pages that are too large, or have too many values.
        """
        found = 0
        for i in range(group.num_columns):
            column = group.column(i)
            pages = list(_pages(self.file, column))
            found += max((page.unpacked for page in pages), default=0)
            self._check(column.path_in_schema, pages)
        return found

    def _check(self, name: str, pages: list[Page]) -> None:
        for page in pages:
            if page.unpacked > LARGEST or (page.unpacked > SMALL and page.unpacked > TIGHTEST * page.packed):
                raise Malformed(0, f"a page of the column `{name}` unpacks {page.packed:,} bytes to {page.unpacked:,}")
        self.values[name] += sum(page.values for page in pages)
        if self.values[name] > max(FEWEST, PER_BYTE * self.size):
            raise Malformed(0, f"the column `{name}` holds {self.values[name]:,} values in {self.size:,} bytes of file")


def _pages(file: BinaryIO, column: Any) -> Iterator[Page]:
    start = column.data_page_offset
    if column.has_dictionary_page and column.dictionary_page_offset:
        start = min(start, column.dictionary_page_offset)
    end = start + column.total_compressed_size
    while start < end:
        page, length = _header(file, start)
        yield page
        start += length + page.packed


def _header(file: BinaryIO, at: int) -> tuple[Page, int]:
    """The header of a page, and the header's length."""
    room = HEADER
    while True:
        file.seek(at)
        try:
            struct, length = _Compact(file.read(room)).whole()
            break
        except IndexError:
            if room >= LONGEST:
                raise Malformed(0, "not a sound Parquet file: the header of a page has no end") from None
            room *= 16
    unpacked, packed = struct.get(2), struct.get(3)
    told: dict[int, Any] = next((struct[key] for key in (5, 7, 8) if isinstance(struct.get(key), dict)), {})
    values = told.get(1, 0)
    if not all(type(number) is int and number >= 0 for number in (unpacked, packed, values)):
        raise Malformed(0, "not a sound Parquet file: the header of a page can't be read")
    is_dictionary = isinstance(struct.get(7), dict)
    return Page(unpacked, packed, 0 if is_dictionary else values), length  # type: ignore[arg-type]


class _Compact:
    """A struct of Thrift's compact protocol: fields by number, only whole numbers and structs."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.at = 0

    def whole(self) -> tuple[dict[int, Any], int]:
        """The struct and its length; raises IndexError where bytes are missing."""
        return self._struct(0), self.at

    def _struct(self, depth: int) -> dict[int, Any]:
        found: dict[int, Any] = {}
        field = 0
        while head := self._byte():
            field = field + (head >> 4) if head >> 4 else self._signed()
            found[field] = self._value(head & 15, depth + 1)
        return found

    def _value(self, kind: int, depth: int) -> Any:
        if depth > DEEPEST:
            raise Malformed(0, "not a sound Parquet file: the header of a page is nested too deeply")
        if kind in (1, 2):  # the type itself tells true from false
            return kind == 1
        if kind == 3:
            return self._byte()
        if kind in (4, 5, 6):
            return self._signed()
        if kind == 7:
            return self._skip(8)
        if kind == 8:
            return self._skip(self._unsigned())
        if kind == 12:
            return self._struct(depth)
        raise Malformed(0, "not a sound Parquet file: the header of a page can't be read")

    def _byte(self) -> int:
        self.at += 1
        return self.raw[self.at - 1]

    def _skip(self, length: int) -> None:
        self.at += length
        if self.at > len(self.raw):
            raise IndexError

    def _unsigned(self) -> int:
        value = shift = 0
        while (byte := self._byte()) & 128:
            value |= (byte & 127) << shift
            shift += 7
            if shift > 63:
                raise Malformed(0, "not a sound Parquet file: the header of a page can't be read")
        return value | byte << shift

    def _signed(self) -> int:
        value = self._unsigned()
        return value >> 1 ^ -(value & 1)
