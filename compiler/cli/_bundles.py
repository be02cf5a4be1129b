"""What the verbs that open bundles share: the runtime's refusals as diagnostics."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ...runtime.errors import BundleError
from ..diagnostics import Diagnostic, Refused, Status


@contextmanager
def refusals() -> Iterator[None]:
    """Turns what the runtime raises into what the command line prints."""
    try:
        yield
    except BundleError as error:
        status = Status.MACHINE if error.code == "E0507" else Status.WRONG
        raise Refused((Diagnostic(error.code, error.message, None, (), error.notes, error.help),), status) from None
