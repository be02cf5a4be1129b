"""Copies a packed bundle to the output folder without harm to other files."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from ...runtime.bytecode import CACHE
from ...runtime.manifest import LARGEST, NAME, strangers
from ..diagnostics import refuse
from ..files import whole
from ..interrupts import held_back
from ..store.hashes import digest, file_sha256
from ..store.ownership import make_folders
from ..store.staging import beside, clear
from ..store.store import Store, full_disk, sync, sync_tree

FOLDER, FILE = 0o755, 0o644  # modes of delivered folders and files


def require_place(output: Path) -> None:
    """Raises the error that writing to the output would raise: OSError, or Refused E0501 for a file in the way.

    Leaves nothing behind, not even missing folders above the output.
    """
    above = next(folder for folder in output.absolute().parents if os.path.lexists(folder))
    if not above.is_dir():
        raise refuse("E0501", f"`{above}` is not a folder", help="choose another place with -o")
    try:
        with tempfile.TemporaryFile(dir=above):
            pass
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(above)) from None


def refuse_output(output: Path, name: str, packed: Path | None, memory: Path) -> None:
    """Raises Refused E0501 where the output folder holds anything but an earlier bundle of this name.

    `packed` is that bundle in the store, None for none. Also raises what `require_place` raises.
    """
    require_place(output)
    if output.is_symlink() or (output.exists() and not output.is_dir()):
        raise refuse("E0501", f"`{output}` is not a folder", help="choose another place with -o")
    if not output.exists() or not any(output.iterdir()):
        return
    try:
        manifest = json.loads(whole(output / NAME, LARGEST))
        there, own = manifest["name"], {*manifest["files"], NAME}
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
    every = strangers(output, own, is_strict=True)
    foreign = [name for name in every if CACHE not in PurePosixPath(name).parts]  # byte code may be deleted
    if foreign:
        raise refuse(
            "E0501",
            f"`{output}` holds files that are not the bundle's",
            f"a new bundle would take their place: {', '.join(foreign[:5])}",
            help="move them, or choose another place with -o",
        )


def deliver(packed: Path, output: Path, store: Store) -> None:
    """Copies a packed bundle to the output folder, unless an undamaged copy is there; everybody may read it.

    Readers see the old bundle or the new one, complete; for a moment between two renames they see none. Raises Refused
    E0501 where other files appeared in the output during the build.
    """
    output = output.absolute()
    with store.lock(f"deliver-{digest(os.path.realpath(output))}"):
        clear(output)
        if _is_same(packed, output, store.digests):
            return
        refuse_output(output, json.loads((packed / NAME).read_bytes())["name"], packed, store.digests)
        make_folders(output.parent, FOLDER)
        try:
            with beside(output) as folder:
                shutil.copytree(packed, folder / "new")
                _open(folder / "new")
                sync_tree(folder / "new")
                _replace(output, folder / "new", folder / "old")
        except OSError as error:
            raise full_disk(error, output.parent) or error from None


def _open(folder: Path) -> None:
    """Makes a folder and its files readable for everybody and writable for the owner, whatever the umask."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(FOLDER if path.is_dir() else FILE)


def _replace(output: Path, new: Path, old: Path) -> None:
    """Replaces a folder by another, and moves the old one away; Ctrl-C waits for both renames."""
    with held_back():
        if output.exists():
            os.rename(output, old)
        try:
            os.rename(new, output)
        except OSError:
            if old.exists():
                os.rename(old, output)
            raise
        sync(output.parent)


def _is_same(packed: Path, output: Path, memory: Path) -> bool:
    """Whether every file of the packed bundle is in the output, to the byte, and no other file that may run."""
    mine, theirs = packed / NAME, output / NAME
    if not theirs.is_file() or mine.read_bytes() != theirs.read_bytes():
        return False
    files = _files(packed)
    return all(_is_intact(output / name, files[name], memory) for name in files) and not any(strangers(output, files))


def _is_intact(path: Path, entry: Mapping[str, Any], memory: Path) -> bool:
    is_there = path.is_file() and path.stat().st_size == entry["bytes"]
    return is_there and file_sha256(path, memory) == entry["sha256"]


def _is_damaged_copy(output: Path, packed: Path | None, memory: Path) -> bool:
    """Whether a folder without a readable manifest is a damaged copy of this bundle: most files equal, none foreign."""
    if packed is None:
        return False
    files = _files(packed)
    found = {
        path.relative_to(output).as_posix()
        for path in output.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    unchanged = sum(name in files and _is_intact(output / name, files[name], memory) for name in found)
    return found <= {*files, NAME} and 2 * unchanged > len(found)


def _files(packed: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((packed / NAME).read_bytes())["files"]
    return found
