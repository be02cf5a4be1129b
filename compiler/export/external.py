"""Names of the temporary files in which onnx keeps weights beside a graph."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

from onnx import external_data_helper


@contextmanager
def random_names() -> Iterator[None]:
    """Names drawn at random, in place of onnx's, which are made of the machine's address and clock.

    A clock's place among others is kept by libuuid in a file of the system, or asked of its service.
    """
    before = external_data_helper.uuid
    external_data_helper.uuid = SimpleNamespace(uuid1=uuid.uuid4)
    try:
        yield
    finally:
        external_data_helper.uuid = before
