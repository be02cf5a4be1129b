"""The backbone inside a bundle that graftc built: its `checkpoint` folder, checked against the bundle's manifest."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ...runtime.errors import BundleError
from ...runtime.manifest import NAME, read_manifest
from ..contracts.source import Source
from ..store.hashes import file_sha256
from . import Located, Missing

INSIDE = "checkpoint"
WEIGHTS = ".safetensors"
_NEEDED = ("config.json", "model.safetensors")


def locate(reference: str, base: Path, weights: bool = True) -> Located:
    """The checkpoint of the bundle at `reference`, relative to `base` unless it is absolute.

    Its files are compared with the manifest by hash; weights, which planning does not read, by size only.
    """
    bundle = base / reference
    if not os.path.isdir(bundle):
        raise Missing(f"there is no bundle `{reference}`", "give the folder that `graftc build` wrote")
    checkpoint = bundle / INSIDE
    lacking = [name for name in _NEEDED if not os.path.isfile(checkpoint / name)]
    if not lacking:
        _refuse_others(bundle, reference, lambda path: path.suffix == WEIGHTS or file_sha256(path))
        return Located(checkpoint, f"bundle:{reference}")
    if os.path.isfile(checkpoint / "adapter_config.json") or os.path.isdir(checkpoint / "adapters"):
        raise Missing(
            f"the checkpoint of `{reference}` holds an adapter only, not the backbone that it belongs to",
            "start from the backbone that the bundle's manifest names",
        )
    raise Missing(
        f"`{reference}` has no {' and no '.join(f'{INSIDE}/{name}' for name in lacking)}",
        "give the folder that `graftc build` wrote",
    )


def held(folder: Path) -> Iterator[Path]:
    """The manifest of a bundle and the files that are compared with it."""
    yield folder / NAME
    yield from (folder / INSIDE).rglob("*")


def check(located: Located, memory: Path | None) -> None:
    """Raises Missing where any file, weights included, differs from the manifest; `memory` is as in `file_sha256`."""
    reference = located.pinned.partition(":")[2]
    _refuse_others(located.folder.parent, reference, lambda path: file_sha256(path, memory))


def _refuse_others(bundle: Path, reference: str, read: Callable[[Path], str | bool]) -> None:
    """Raises Missing for a checkpoint that differs from the manifest.

    `read` returns a file's hash, or True for a file that need not be hashed.
    """
    try:
        files = read_manifest(bundle)["files"]
    except BundleError as error:
        raise Missing(f"{error.message}: {'; '.join(error.notes)}", error.help) from None
    known = {name: entry for name, entry in files.items() if name.startswith(f"{INSIDE}/")}
    if wrong := next(_wrong(bundle, known, read), None):
        reason = f"the checkpoint of `{reference}` is not as it was built: {wrong}"
        raise Missing(reason, "build or copy the bundle again; `graftc verify` says what else differs")


def _wrong(bundle: Path, known: Mapping[str, Any], read: Callable[[Path], str | bool]) -> Iterator[str]:
    found = {path.relative_to(bundle).as_posix(): path for path in _files(bundle / INSIDE)}
    for name in sorted(known.keys() | found.keys()):
        path, entry = bundle / name, known.get(name)
        if name not in found:
            yield f"`{name}` is missing"
        elif entry is None:
            yield f"`{name}` is not part of the bundle"
        elif not path.is_file() or path.stat().st_size != entry["bytes"] or read(path) not in (True, entry["sha256"]):
            yield f"`{name}` was changed"


def _files(folder: Path) -> Iterator[Path]:
    """Every file in a folder at any depth; a symbolic link counts as one."""
    return (path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())


SOURCE = Source(is_path=True, locate=locate, held=held, check=check)
