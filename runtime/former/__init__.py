"""Manifests of former formats, one module a format: each lifts its own to the next one."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

OLDEST = 2  # the format that is still read


def lifted(manifest: Mapping[str, Any], newest: int) -> dict[str, Any]:
    """A manifest of a former format as one of the newest.

    Raises ModuleNotFoundError where a format is not known here, and KeyError, TypeError or AttributeError for what was
    never of its format.
    """
    found = dict(manifest)
    for version in range(manifest["bundle"], newest):
        found = import_module(f".format_{version}", __package__).lift(found)
    return found
