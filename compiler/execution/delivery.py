"""Puts a packed bundle where the user wants it, and nothing else there at risk."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..diagnostics import refuse
from ..digest import digest, file_sha256
from ..reading import whole
from ..store import Store, full_disk, sync, sync_tree

MANIFEST = "manifest.json"
LARGEST = 64 << 20  # bytes of an old one


def require_place(output: Path) -> None:
    """Raises what writing beside the output would raise: OSError, or Refused E0501 where a file is in the way.

    Nothing is left behind, not even the folders that the output needs.
    """
    above = next(folder for folder in output.absolute().parents if os.path.lexists(folder))
    if not above.is_dir():
        raise refuse("E0501", f"`{above}` is not a folder", help="choose another place with -o")
    try:
        with tempfile.TemporaryFile(dir=above):
            pass
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(above)) from None


def refuse_output(output: Path, name: str, packed: Path, memory: Path) -> None:
    """Raises Refused E0501 where the output folder holds anything but an earlier bundle of this name.

    Also what `require_place` raises.
    """
    require_place(output)
    if output.is_symlink() or (output.exists() and not output.is_dir()):
        raise refuse("E0501", f"`{output}` is not a folder", help="choose another place with -o")
    if not output.exists() or not any(output.iterdir()):
        return
    try:
        manifest = json.loads(whole(output / MANIFEST, LARGEST))
        there, own = manifest["name"], {*manifest["files"], MANIFEST}
        if not isinstance(manifest["bundle"], int):
            raise TypeError
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        if _is_damaged_copy(output, packed, memory):
            return
        raise refuse(
            "E0501",
            f"`{output}` holds something else",
            f"it has {len(list(output.iterdir()))} entries and is no bundle",
            help="choose another place with -o, or empty it",
        ) from None
    if there != name:
        raise refuse(
            "E0501",
            f"`{output}` holds another bundle",
            f"that one is `{there}`, this one `{name}`",
            help="choose another place with -o",
        )
    files = (file.relative_to(output) for file in sorted(output.rglob("*")) if not file.is_dir())
    foreign = [file.as_posix() for file in files if file.as_posix() not in own and "__pycache__" not in file.parts]
    if foreign:
        raise refuse(
            "E0501",
            f"`{output}` holds files that are not the bundle's",
            f"a new bundle would take their place: {', '.join(foreign[:5])}",
            help="move them, or choose another place with -o",
        )


def deliver(packed: Path, output: Path, store: Store) -> None:
    """Copies a packed bundle to the output folder, unless it lies there unharmed.

    Readers see the old one or the new one, whole; between the two renames, for a moment, none.
    """
    output = output.absolute()
    staging = output.parent / f".{output.name}.partial"
    retired = output.parent / f".{output.name}.retired"
    with store.lock(f"deliver-{digest(os.path.realpath(output))}"):
        for leftover in (staging, retired):  # of a build that was killed right here
            if leftover.exists():
                shutil.rmtree(leftover)
        if _is_same(packed, output, store.digests):
            return
        output.parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copytree(packed, staging)
            sync_tree(staging)
        except OSError as error:
            shutil.rmtree(staging, ignore_errors=True)
            raise full_disk(error, output.parent) or error from None
        if output.exists():
            os.rename(output, retired)
        os.rename(staging, output)
        sync(output.parent)
        shutil.rmtree(retired, ignore_errors=True)


def _is_same(packed: Path, output: Path, memory: Path) -> bool:
    """Whether every file of the packed bundle lies in the output, to the byte; what a user added does not count."""
    mine, theirs = packed / MANIFEST, output / MANIFEST
    if not theirs.is_file() or mine.read_bytes() != theirs.read_bytes():
        return False
    return all(_is_intact(output / name, entry, memory) for name, entry in _files(packed).items())


def _is_intact(path: Path, entry: Mapping[str, Any], memory: Path) -> bool:
    is_there = path.is_file() and path.stat().st_size == entry["bytes"]
    return is_there and file_sha256(path, memory) == entry["sha256"]


def _is_damaged_copy(output: Path, packed: Path, memory: Path) -> bool:
    """Whether a folder without a readable manifest is the rest of this bundle: most files unchanged, none a stranger."""
    if not packed.is_dir():
        return False
    files = _files(packed)
    found = {
        path.relative_to(output).as_posix()
        for path in output.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    unchanged = sum(name in files and _is_intact(output / name, files[name], memory) for name in found)
    return found <= {*files, MANIFEST} and 2 * unchanged > len(found)


def _files(packed: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((packed / MANIFEST).read_bytes())["files"]
    return found
