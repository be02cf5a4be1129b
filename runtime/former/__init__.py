"""Lifts manifests of former formats, one module for each format, which lifts to the next."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

OLDEST = 2  # the oldest format that is read


def lifted(manifest: Mapping[str, Any], newest: int) -> dict[str, Any]:
    """A manifest of a former format in the newest format.

    Raises ModuleNotFoundError for an unknown format, and KeyError, TypeError or AttributeError for a manifest that is
    not of its format.
    """
    found = dict(manifest)
    for version in range(manifest["bundle"], newest):
        found = import_module(f".format_{version}", __package__).lift(found)
    return found
