"""Turns refusals of the runtime into diagnostics, for verbs that open bundles."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ...runtime.errors import BundleError
from ..diagnostics import Diagnostic, Refused, Status


@contextmanager
def refusals() -> Iterator[None]:
    """Raises Refused in place of the runtime's BundleError."""
    try:
        yield
    except BundleError as error:
        status = Status.MACHINE if error.code == "E0507" else Status.WRONG
        raise Refused((Diagnostic(error.code, error.message, None, (), error.notes, error.help),), status) from None
