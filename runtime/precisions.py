"""What differs between the graphs of a bundle: thresholds and the like, which belong to a precision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def heads_in(manifest: Mapping[str, Any], precision: str) -> dict[str, dict[str, Any]]:
    """The records of a bundle's heads as a decoder sees them, with the thresholds of one precision alone."""
    own = manifest["calibrated"].get(precision, {})
    return {name: {**head, **own.get(name, {})} for name, head in manifest["heads"].items()}
