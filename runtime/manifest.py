"""Reads and checks a bundle's manifest.json, the index of everything in its folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .errors import BundleError

FORMAT = 1
NAME = "manifest.json"


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a bundle; raises BundleError E0502 (no bundle) or E0506 (made by a later graftc)."""
    try:
        manifest = json.loads((folder / NAME).read_bytes())
        version = manifest["bundle"]
    except OSError:
        raise BundleError(
            "E0502",
            f"`{folder}` is not a bundle",
            "it has no manifest.json",
            help="a bundle is the folder that `graftc build` wrote",
        ) from None
    except (ValueError, KeyError, TypeError, RecursionError):
        raise BundleError(
            "E0503", f"the manifest of `{folder}` can't be read", help="build or copy the bundle again"
        ) from None
    if version != FORMAT:
        raise BundleError(
            "E0506",
            f"bundle format {version} is not known",
            f"this runtime reads format {FORMAT}",
            help="upgrade graftc",
        )
    return manifest


def check_files(folder: Path, manifest: Mapping[str, Any]) -> list[str]:
    """Everything that differs between the manifest and the folder, one sentence each; empty when all is well."""
    wrong = []
    for name, entry in manifest["files"].items():
        path = folder / name
        if not _is_inside(folder, path):
            wrong.append(f"`{name}` leads out of the bundle")
        elif not path.is_file():
            wrong.append(f"`{name}` is missing")
        elif path.stat().st_size != entry["bytes"] or sha256(path) != entry["sha256"]:
            wrong.append(f"`{name}` was changed")
    known = {*manifest["files"], NAME}
    extra = [
        p.relative_to(folder).as_posix()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and "__pycache__" not in p.parts
    ]
    return wrong + [f"`{name}` is not part of the bundle" for name in extra if name not in known]


def _is_inside(folder: Path, path: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve())


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
