"""Applies the calibrated fields of a precision, such as thresholds, to the records of heads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def heads_in(manifest: Mapping[str, Any], precision: str) -> dict[str, dict[str, Any]]:
    """The records of a bundle's heads with the calibrated fields of one precision."""
    own = manifest["calibrated"].get(precision, {})
    return {name: {**head, **own.get(name, {})} for name, head in manifest["heads"].items()}
