"""What differs between the graphs of a bundle: thresholds and the like, which belong to a precision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FORMER = 2  # the format in which all graphs of a bundle shared one set of them, among the fields of a head


def lifted(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """A manifest of a former format as one of the present.

    In the oldest, thresholds are fields of a head and hold for every precision; later one word was another.
    """
    calibrated = {} if manifest["bundle"] == FORMER else manifest.get("calibrated")
    return {**manifest, "calibrated": calibrated, **_renamed(manifest.get("quantization"))}


def _renamed(quantization: Any) -> dict[str, Any]:
    """What is told of int8, with `is_alone` under its present name."""
    if not isinstance(quantization, dict):
        return {}
    told = {
        precision: {"is_batch_invariant" if key == "is_alone" else key: value for key, value in each.items()}
        for precision, each in quantization.items()
        if isinstance(each, dict)
    }
    return {"quantization": quantization | told}


def heads_in(manifest: Mapping[str, Any], precision: str) -> dict[str, dict[str, Any]]:
    """The records of a bundle's heads as a decoder sees them, with the thresholds of one precision alone."""
    own = manifest["calibrated"].get(precision, {})
    return {name: {**head, **own.get(name, {})} for name, head in manifest["heads"].items()}
