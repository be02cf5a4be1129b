"""Format 4: a bundle has the graph `model` alone, and the shapes of its arrays stand beside the graphs."""

from __future__ import annotations

from typing import Any


def lift(manifest: dict[str, Any]) -> dict[str, Any]:
    """The manifest with inputs and outputs where their graph is."""
    arrays = {key: manifest[key] for key in ("inputs", "outputs")}
    rest = {key: value for key, value in manifest.items() if key not in arrays}
    return {**rest, "graphs": {"model": {"files": manifest["graphs"]["model"], **arrays}}}
