"""Format 3: what is told of int8 calls `is_batch_invariant` by the name `is_alone`; there is no seal."""

from __future__ import annotations

from typing import Any


def lift(manifest: dict[str, Any]) -> dict[str, Any]:
    """The manifest with the present name."""
    told = manifest.get("quantization")
    if not isinstance(told, dict):
        return manifest
    return {**manifest, "quantization": {key: _renamed(value) for key, value in told.items()}}


def _renamed(told: Any) -> Any:
    if not isinstance(told, dict):
        return told
    return {"is_batch_invariant" if key == "is_alone" else key: value for key, value in told.items()}
