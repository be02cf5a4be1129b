"""One change of a variant that makes its record wrong."""

from __future__ import annotations

from typing import NamedTuple


class Case(NamedTuple):
    """A variant's file below the root, a text in it, what stands there instead, and what the type checker says of it.

    `at` begins the line that the type checker names: that of the record, or of the member whose value is wrong.
    """

    file: str
    old: str
    new: str
    at: str
    says: str
