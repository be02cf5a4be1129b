"""Random names for the temporary files in which onnx keeps weights beside a graph."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

from onnx import external_data_helper


@contextmanager
def random_names() -> Iterator[None]:
    """Replaces onnx's names, which come from the machine's address and clock, by random ones.

    libuuid keeps a clock's state in a system file, or asks a system service for it.
    """
    before = external_data_helper.uuid
    external_data_helper.uuid = SimpleNamespace(uuid1=uuid.uuid4)
    try:
        yield
    finally:
        external_data_helper.uuid = before
