"""Apache Parquet tables."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from ..contracts.format import Extra, Format
from . import Malformed, Told, stop
from ._pages import TIGHTEST, Pages

BATCH = 256  # the most rows decoded at a time, which may hold images
ROOM = 128 << 20  # the most bytes of rows decoded at a time, or one row
UNPACKED = 1 << 30  # bytes that any file may decompress to
CHUNK = 1 << 20  # bytes of a column read at a time


def rows(path: Path, told: Told = stop) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields each row under its place in the table, from 1; NaN, which pandas writes for no value, becomes None."""
    import pyarrow
    from pyarrow.parquet import ParquetFile

    damage = (pyarrow.ArrowException, OSError)
    before = 0  # rows of the batches so far
    # opened here, to tell an unreadable file from a damaged one
    with path.open("rb") as file:
        try:
            table = ParquetFile(file, pre_buffer=False, buffer_size=CHUNK)
            _check_names(table.schema_arrow.names)
            for batch in _batches(table, file):
                floats = [field.name for field in batch.schema if pyarrow.types.is_floating(field.type)]
                for number, row in _objects(batch, before, told):
                    for name in floats:
                        if row[name] != row[name]:
                            row[name] = None
                    yield number, row
                before += batch.num_rows
        except damage as error:
            place = before + 1 if before else 0
            raise Malformed(place, f"not a sound Parquet file: {_first_line(error)}") from None


def _batches(table: Any, file: BinaryIO) -> Iterator[Any]:
    """The rows in small batches, smaller where cells may be large; raises Malformed for excessive decompression."""
    size = file.seek(0, os.SEEK_END)
    rest, pages = max(UNPACKED, TIGHTEST * size), Pages(file, size)
    groups = range(table.metadata.num_row_groups)
    for number in (number for number in groups if table.metadata.row_group(number).num_rows):
        # a cell lies in one page, and every row may refer to one dictionary page
        largest = pages.largest(table.metadata.row_group(number))
        rows = min(BATCH, max(1, ROOM // max(1, largest)))
        for coded in table.iter_batches(batch_size=rows, row_groups=[number]):
            batch = _decoded(coded)
            rest -= batch.nbytes
            if rest < 0:
                raise Malformed(0, f"its {size:,} bytes unpack to more than {max(UNPACKED, TIGHTEST * size):,}")
            yield batch


def _decoded(batch: Any) -> Any:
    """A batch with dictionary columns expanded, so that their words are counted."""
    import pyarrow

    for i, field in enumerate(batch.schema):
        if pyarrow.types.is_dictionary(field.type):
            batch = batch.set_column(i, field.name, batch.column(i).dictionary_decode())
        elif "dictionary<" in str(field.type):
            raise Malformed(0, f"the column `{field.name}` holds a dictionary within a list or a struct")
    return batch


def _objects(batch: Any, before: int, told: Told) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        yield from enumerate(batch.to_pylist(), before + 1)
    except UnicodeDecodeError:
        pass  # Parquet strings are not checked; search row by row
    else:
        return
    for index in range(batch.num_rows):
        try:
            row = batch.slice(index, 1).to_pylist()[0]
        except UnicodeDecodeError as error:
            told(Malformed(before + index + 1, f"a string is not UTF-8: {error.reason}"))
            continue
        yield before + index + 1, row


def _check_names(names: list[str]) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise Malformed(0, "the table names a column twice: " + ", ".join(f"`{name}`" for name in twice))


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__


FORMAT = Format(suffixes=(".parquet",), extra=Extra("parquet", "pyarrow"), is_table=True, rows=rows)
