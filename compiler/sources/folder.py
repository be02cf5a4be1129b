"""A folder on this machine, given by its path."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from ..contracts.source import Source
from ..diagnostics import nearest
from . import Located, Missing


def locate(reference: str, base: Path, weights: bool = True) -> Located:
    """The folder at `reference`, relative to `base` unless it is absolute."""
    folder = base / reference
    if os.path.isdir(folder):
        return Located(folder, reference)
    reason = f"`{reference}` is a file" if os.path.exists(folder) else f"there is no folder `{reference}`"
    near = _near(reference, base)
    if near:
        raise Missing(reason, near)
    if reference.startswith("~"):
        raise Missing(reason, "`~` is not expanded; write the path out")
    if os.path.isabs(reference):
        raise Missing(reason, "give the folder that holds config.json")
    raise Missing(reason, f"give the folder that holds config.json; relative paths start at {base}")


def held(folder: Path) -> Iterator[Path]:
    """No files: a plain folder has no manifest."""
    return iter(())


def check(located: Located, memory: Path | None) -> None:
    """Does nothing: a plain folder has no manifest."""


# owners of models that the Hub once listed without an owner
_OWNERS = {"distilbert": "distilbert", "bert": "google-bert", "roberta": "FacebookAI", "xlm-roberta": "FacebookAI"}


def _near(reference: str, base: Path) -> str:
    """Help: the folder or the Hub repository that was probably meant; empty if there is none."""
    parent, name = os.path.split(reference.rstrip("/"))
    beside = base / parent
    folders = [entry for entry in os.listdir(beside) if os.path.isdir(beside / entry)] if os.path.isdir(beside) else []
    meant = nearest(name, folders)
    if meant:
        return meant.replace("`", f"`{parent}/", 1) if parent else meant
    if installed := _installed(reference):
        return f"did you mean `package:{installed}`?"
    owner = next((owner for word, owner in _OWNERS.items() if reference.startswith(f"{word}-")), "")
    if owner and "/" not in reference:
        return f"did you mean `hub:{owner}/{reference}`?"
    is_repository = re.fullmatch(r"[A-Za-z0-9][\w-]*/[A-Za-z0-9][\w.-]*(@[\w./-]+)?", reference)
    return f"did you mean `hub:{reference}`?" if is_repository and not os.path.isdir(beside) else ""


def _installed(reference: str) -> str:
    """The backbone in an installed package of this name; "" for none. The package is not imported."""
    name = reference.replace("-", "_")
    try:
        spec = find_spec(name) if name.isidentifier() else None
    except (ImportError, ValueError):  # ValueError: a module that was made without a spec
        return ""
    for root in spec.submodule_search_locations or () if spec else ():
        for folder in sorted(os.listdir(root)) if os.path.isdir(root) else ():
            if os.path.isfile(os.path.join(root, folder, "config.json")):
                return f"{name}/{folder}"
    return ""


SOURCE = Source(is_path=True, locate=locate, held=held, check=check)
