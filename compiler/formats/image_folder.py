"""A folder of images: one sub-folder per class, named by its label."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from . import Malformed

SUFFIXES: tuple[str, ...] = ()  # chosen for a directory
EXTRA = ""

IMAGES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")


def rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields the path of each image within the folder and its label, sorted by class, then by name."""
    root = os.path.realpath(path)
    labels = [_inside(entry, root, entry.name) for entry in _entries(path)]
    if not labels:
        raise Malformed(0, "the folder has no sub-folders; it needs one per class, named by the label")
    beside = [entry.name for entry in labels if not entry.is_dir()]
    if beside:
        help = "name the folder above it, which has one per class" if len(beside) == len(labels) else ""
        reason = f"`{beside[0]}` stands beside the classes; each image belongs in its class's sub-folder"
        raise Malformed(0, reason, help)
    number = 0
    for label in labels:
        for image in _images(label, root):
            number += 1
            yield number, {"image": f"{label.name}/{image}", "label": label.name}


def _images(label: os.DirEntry[str], root: str) -> Iterator[str]:
    entries = _entries(Path(label.path))
    if not entries:
        raise Malformed(0, f"the class `{label.name}` has no images", f"remove the folder `{label.name}`")
    for entry in entries:
        shown = f"{label.name}/{entry.name}"
        if not _inside(entry, root, shown).is_file():
            kind = "a folder inside a class" if entry.is_dir() else "not a file"
            help = f"name the folder that holds the classes, perhaps `{label.name}` in it" if entry.is_dir() else ""
            raise Malformed(0, f"`{shown}` is {kind}; classes hold images and nothing else", help)
        if not entry.name.lower().endswith(IMAGES):
            raise Malformed(
                0, f"`{shown}` is no image by its name ({', '.join(IMAGES)})", f"take `{shown}` out of the folder"
            )
        yield entry.name


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """What a folder shows, sorted; hidden entries are the system's: .DS_Store, .ipynb_checkpoints."""
    with os.scandir(folder) as entries:
        return sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda entry: entry.name)


def _inside(entry: os.DirEntry[str], root: str, shown: str) -> os.DirEntry[str]:
    """The entry itself, unless its name is no text or it links to something outside of `root`."""
    try:
        entry.name.encode()
    except UnicodeEncodeError:
        raise Malformed(0, f"the name {os.fsencode(shown)!r} is not UTF-8") from None
    if entry.is_symlink() and not Path(os.path.realpath(entry.path)).is_relative_to(root):
        raise Malformed(0, f"`{shown}` is a link that leads out of the folder")
    return entry
