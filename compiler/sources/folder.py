"""A folder on this machine, given by its path."""

from __future__ import annotations

import os
from pathlib import Path

from . import Located, Missing

IS_PATH = True  # what stands after the word is a path, relative to the spec


def locate(reference: str, base: Path) -> Located:
    """The folder at `reference`, which starts at `base` unless it is absolute."""
    folder = base / reference
    if os.path.isdir(folder):
        return Located(folder, reference)
    reason = f"`{reference}` is a file" if os.path.exists(folder) else f"there is no folder `{reference}`"
    if reference.startswith("~"):
        raise Missing(reason, "`~` is not expanded; write the path out")
    if os.path.isabs(reference):
        raise Missing(reason, "give the folder that holds config.json")
    raise Missing(reason, f"give the folder that holds config.json; relative paths start at {base}")
