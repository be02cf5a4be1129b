"""Finds pictures that are cut short or damaged."""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import Any

from ..diagnostics import Status, refuse
from ..extras import installing

TAIL = 64  # bytes at the end of a file in which the end mark is sought
ENDS = {b"\xff\xd8": b"\xff\xd9", b"\x89PNG": b"IEND"}  # the first bytes of JPEG and PNG → their end marks


def is_path(value: Any) -> bool:
    """Whether a value is the path of a file."""
    return isinstance(value, str) and not value.startswith(("data:", "http://", "https://"))


def opens(value: Any) -> str | None:
    """Why a picture can't be read, by its header, and by its pixels if its end is missing; None if it probably can."""
    if find_spec("PIL") is None:
        raise refuse("E0409", "reading images needs Pillow", help=installing("image"), status=Status.MACHINE)
    from ...runtime.inputs.image import opens as by_header

    return by_header(value) or (reads(value) if _is_cut(value) else None)


def reads(value: Any) -> str | None:
    """Why a picture can't be read, after reading all of its pixels; None if it can."""
    if find_spec("PIL") is None:
        raise refuse("E0409", "reading images needs Pillow", help=installing("image"), status=Status.MACHINE)
    from ...runtime.inputs.image import rgb

    try:
        rgb(value)
    except ValueError as error:
        return str(error)
    return None


def _is_cut(value: Any) -> bool:
    """Whether a file has no end mark, as if cut short in a copy."""
    if not is_path(value):
        return False
    with open(value, "rb") as file:
        start = file.read(4)
        file.seek(-min(TAIL, os.path.getsize(value)), os.SEEK_END)
        end = file.read()
    return any(start.startswith(mark) and last not in end for mark, last in ENDS.items())
