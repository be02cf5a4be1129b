"""Finds the data files and folders that a spec names."""

from __future__ import annotations

import os
from pathlib import Path

from .. import variants
from ..boundary import OPEN, Boundary, outside
from ..diagnostics import At, Diagnostic, Refused, listed, nearest, quote, refuse
from ..diagnostics import Path as Keys
from ..language.spec import Table, Tables
from .rows import Opened


def open_tables(entry: Tables, base: Path, keys: Keys, boundary: Boundary = OPEN) -> tuple[Opened, ...]:
    """Finds every table of a split.

    Raises Refused with E0310 where one is missing or of no known format, and E0353 where it lies outside of `boundary`.
    """
    entries = entry if isinstance(entry, tuple) else (entry,)
    found: list[Diagnostic] = []
    opened: list[Opened] = []
    for i, item in enumerate(entries):
        place = (*keys, i) if isinstance(entry, tuple) else keys
        try:
            opened.append(_open(item, base, place, boundary))
        except Refused as refused:
            found += refused.diagnostics
    if found:
        raise Refused(tuple(found))
    return tuple(opened)


def _open(entry: str | Table, base: Path, keys: Keys, boundary: Boundary) -> Opened:
    table = entry if isinstance(entry, Table) else Table.model_validate({"from": entry})
    at = At((*keys, "from") if isinstance(entry, Table) else keys)
    inside = Path(table.from_)
    if boundary.is_outside(base / inside) or (table.split and boundary.is_outside(base / inside / table.split)):
        raise Refused((outside(quote(table.from_), at, boundary),))
    if table.split and os.path.isdir(base / inside / table.split):
        inside = inside / table.split
    path = base / inside
    if not os.path.exists(path):
        siblings = os.listdir(path.parent) if os.path.isdir(path.parent) else []
        note = "" if siblings else f"there is no folder {quote(inside.parent)}"
        raise refuse(
            "E0310",
            f"{quote(table.from_)} does not exist",
            *filter(None, [note]),
            at=at,
            help=nearest(path.name, siblings),
        )
    if not os.path.isfile(path) and not os.path.isdir(path):
        help = "write its rows into a file"  # a pipe would be waited for, and could be read only once
        raise refuse("E0310", f"{quote(table.from_)} is neither a file nor a folder", at=at, help=help)
    if table.format and table.format not in variants.words("formats"):
        known = variants.words("formats")
        raise refuse(
            "E0310",
            f"unknown format {quote(table.format)}",
            f"formats: {listed(known)}",
            at=At((*keys, "format")),
            help=nearest(table.format, known),
        )
    split = table.split if path.is_file() else None
    return Opened(path, str(inside), table.format or _format(path, at), split, boundary=boundary)


def _format(path: Path, at: At) -> str:
    if path.is_dir():
        return "image-folder"
    for word in variants.words("formats"):
        if path.suffix.lower() in variants.format(word).suffixes:
            return word
    raise refuse(
        "E0310",
        f"the ending of {quote(path.name)} names no data format",
        at=at,
        help=f"write {{from: …, format: …}} with one of: {listed(variants.words('formats'))}",
    )
