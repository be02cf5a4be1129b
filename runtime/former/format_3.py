"""Format 3: the entry on int8 names `is_batch_invariant` as `is_alone`, and there is no seal."""

from __future__ import annotations

from typing import Any


def lift(manifest: dict[str, Any]) -> dict[str, Any]:
    """The manifest in format 4, with the present name."""
    told = manifest.get("quantization")
    if not isinstance(told, dict):
        return manifest
    return {**manifest, "quantization": {key: _renamed(value) for key, value in told.items()}}


def _renamed(told: Any) -> Any:
    if not isinstance(told, dict):
        return told
    return {"is_batch_invariant" if key == "is_alone" else key: value for key, value in told.items()}
