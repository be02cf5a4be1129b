"""The backbone inside a bundle that graftc built: its `checkpoint` folder."""

from __future__ import annotations

import os
from pathlib import Path

from . import Located, Missing

IS_PATH = True  # what stands after the word is a path, relative to the spec
_NEEDED = ("config.json", "model.safetensors")


def locate(reference: str, base: Path) -> Located:
    """The checkpoint of the bundle at `reference`, which starts at `base` unless it is absolute."""
    bundle = base / reference
    if not os.path.isdir(bundle):
        raise Missing(f"there is no bundle `{reference}`", "give the folder that `graftc build` wrote")
    checkpoint = bundle / "checkpoint"
    lacking = [name for name in _NEEDED if not os.path.isfile(checkpoint / name)]
    if not lacking:
        return Located(checkpoint, f"bundle:{reference}")
    if os.path.isfile(checkpoint / "adapter_config.json") or os.path.isdir(checkpoint / "adapters"):
        raise Missing(
            f"the checkpoint of `{reference}` holds an adapter only, not the backbone that it belongs to",
            "start from the backbone that the bundle's manifest names",
        )
    raise Missing(
        f"`{reference}` has no {' and no '.join(f'checkpoint/{name}' for name in lacking)}",
        "give the folder that `graftc build` wrote",
    )
