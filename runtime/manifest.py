"""Reads and checks a bundle's manifest.json, the index of everything in its folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from .errors import BundleError
from .precisions import FORMER, lifted
from .shape import ANY, FILE, NUMBER, wrong

FORMAT = 3
NAME = "manifest.json"
LARGEST = 64 << 20  # bytes
# what running a bundle takes; heads and inputs say what they need of their own records
RUNS = {
    "name": str,
    "precisions": [str],
    "graphs": {"model": {ANY: FILE}},
    "heads": {ANY: {"type": str}},
    "calibrated": {ANY: {ANY: dict}},  # by precision and head, fields of its record
    "preprocessing": {"modality": str},
    "files": {ANY: {"bytes": int, "sha256": str}},
}
VERIFIES = {"gates": {"samples_allowed": NUMBER, "parity": {"allowed": NUMBER}}}


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a bundle.

    Raises BundleError E0502 (no bundle), E0503 (a damaged manifest) or E0506 (made by a later graftc).
    """
    try:
        if not (folder / NAME).is_file():  # a pipe would be waited for
            raise FileNotFoundError
        with (folder / NAME).open("rb") as file:
            raw = file.read(LARGEST + 1)
    except (OSError, ValueError):
        raise BundleError(
            "E0502",
            f"`{folder}` is not a bundle",
            "it has no manifest.json",
            help="a bundle is the folder that `graftc build` wrote",
        ) from None
    try:
        manifest = json.loads(raw if len(raw) <= LARGEST else b"", parse_constant=_refuse)
        version = manifest["bundle"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise _damaged(folder, "it is not the JSON that graftc writes") from None
    if type(version) is int and version > FORMAT:
        raise BundleError(
            "E0506",
            f"bundle format {str(version)[:20]} is not known",
            f"this runtime reads format {FORMAT}",
            help="upgrade graftc",
        )
    if type(version) is not int or version < 1:
        raise _damaged(folder, "it names no bundle format")
    if version == FORMER:
        manifest = lifted(manifest)
    elif version < FORMAT:
        raise BundleError(
            "E0506",
            f"bundle format {version} is no longer read",
            f"this runtime reads formats {FORMER} and {FORMAT}",
            help="build the bundle again, or use the graftc that built it",
        )
    require(folder, manifest, RUNS)
    if not manifest["heads"] or (len(manifest["heads"]) > 1 and "" in manifest["heads"]):
        raise _damaged(folder, "it names no heads, or one without a name among others")
    if not manifest["graphs"]["model"] or sorted(manifest["precisions"]) != sorted(manifest["graphs"]["model"]):
        raise _damaged(folder, "it names no graph")
    return dict(manifest)


def require(folder: Path, manifest: Mapping[str, Any], shape: Any, inside: Sequence[str] = ()) -> None:
    """Raises BundleError E0503 where a manifest, or what stands `inside` of it, has not the shape."""
    value: Any = manifest
    for key in inside:
        value = value[key]
    mistakes = list(wrong(value, shape, ".".join(filter(None, inside))))
    if mistakes:
        raise _damaged(folder, *mistakes[:5])


def _refuse(word: str) -> Any:
    raise ValueError(word)


def _damaged(folder: Path, *notes: str) -> BundleError:
    return BundleError(
        "E0503", f"the manifest of `{folder}` can't be read", *notes, help="build or copy the bundle again"
    )


def check_files(folder: Path, manifest: Mapping[str, Any]) -> list[str]:
    """Everything that differs between the manifest and the folder, one sentence each; empty when all is well."""
    known = {*manifest["files"], NAME}
    extra = [
        f"`{name}` is not part of the bundle"
        for name in (
            p.relative_to(folder).as_posix()
            for p in sorted(folder.rglob("*"))
            if p.is_file() and "__pycache__" not in p.parts
        )
        if name not in known
    ]
    return [*_changed(folder, manifest["files"]), *extra]


def _changed(folder: Path, files: Mapping[str, Any]) -> Iterator[str]:
    for name, entry in files.items():
        path = folder / name
        if not _is_inside(folder, name):
            yield f"`{name}` leads out of the bundle"
        elif not path.is_file():
            yield f"`{name}` is missing"
        elif path.stat().st_size != entry["bytes"] or sha256(path) != entry["sha256"]:
            yield f"`{name}` was changed"


def _is_inside(folder: Path, name: str) -> bool:
    """Whether a name leads to something in the folder, by its words and by its links."""
    words = PurePosixPath(name)
    sizes = [len(word.encode("utf-8", "surrogatepass")) for word in words.parts]
    if words.is_absolute() or ".." in words.parts or "\0" in name or not sizes:
        return False
    if max(sizes) > 255 or sum(sizes) > 1000:  # more than file systems take
        return False
    try:
        return (folder / name).resolve().is_relative_to(folder.resolve())
    except (OSError, ValueError):
        return False


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
