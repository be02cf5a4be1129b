"""Format 4: a bundle has only the graph `model`, and array shapes are beside the graphs."""

from __future__ import annotations

from typing import Any


def lift(manifest: dict[str, Any]) -> dict[str, Any]:
    """The manifest in format 5, with inputs and outputs inside their graph."""
    arrays = {key: manifest[key] for key in ("inputs", "outputs")}
    rest = {key: value for key, value in manifest.items() if key not in arrays}
    return {**rest, "graphs": {"model": {"files": manifest["graphs"]["model"], **arrays}}}
