"""A folder inside an installed Python package, found without importing the package."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from ..contracts.source import Source
from ..diagnostics import listed
from . import Located, Missing


def locate(reference: str, base: Path, weights: bool = True) -> Located:
    """The folder at `<import name>/<path inside>`; `base` is not used."""
    name, _, inside = reference.partition("/")
    roots = _roots(name)
    if not inside or "\0" in inside:
        raise Missing(f"`{reference}` names no folder inside the package", _held(name, roots))
    for root in roots:
        # a link or `..` may lead anywhere, so the resolved path is checked
        folder = Path(os.path.realpath(os.path.join(root, inside)))
        if not folder.is_relative_to(os.path.realpath(root)):
            raise Missing(f"`{inside}` leads out of the package `{name}`", "give a folder inside the package")
        if folder.is_dir():
            return Located(folder, f"package:{reference}")
    raise Missing(f"the package `{name}` has no folder `{inside}`", _held(name, roots))


def held(folder: Path) -> Iterator[Path]:
    """No files: a package's folder has no manifest."""
    return iter(())


def check(located: Located, memory: Path | None) -> None:
    """Does nothing: a package's folder has no manifest."""


def _roots(name: str) -> list[str]:
    """The folders of a top-level package; a namespace package may have several."""
    if "." in name:
        # find_spec would import the parent
        raise Missing(
            f"`{name}` is a package inside a package; finding it would run code",
            f"give the top-level package, then the path: `package:{name.replace('.', '/')}/…`",
        )
    if not name.isidentifier():
        raise Missing(f"`{name}` is no import name", f"import names look like `{_as_import_name(name)}`")
    try:
        spec = find_spec(name)
    except (ImportError, ValueError):  # ValueError: a module that was made without a spec
        spec = None
    if spec is None:
        raise Missing(
            f"no package `{name}` is installed",
            f"install a package that provides `{name}`, perhaps: pip install --no-deps {name.replace('_', '-')}",
            is_machine=True,
        )
    roots = [root for root in spec.submodule_search_locations or () if os.path.isdir(root)]
    if not roots:
        raise Missing(f"`{name}` is a module without a folder", "give a package that holds the backbone as files")
    return roots


def _held(name: str, roots: list[str]) -> str:
    """Help: the folders that the package has."""
    folders = {entry.name for root in roots for entry in os.scandir(root) if entry.is_dir(follow_symlinks=False)}
    shown = [f"package:{name}/{folder}" for folder in folders if not folder.startswith(("_", "."))]
    return f"there are: {listed(shown)}" if shown else "it has no folders"


def _as_import_name(name: str) -> str:
    word = "".join(character if character.isalnum() else "_" for character in name)
    return word if word.isidentifier() else "my_package"


SOURCE = Source(is_path=False, locate=locate, held=held, check=check)
