"""A folder of images: one sub-folder for each class, named by its label."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..contracts.format import Format
from . import Malformed, Told, stop

IMAGES = (".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
SYSTEM = ("thumbs.db", "ehthumbs.db", "desktop.ini")  # files of Windows in folders of pictures
SHOWN = 5  # the most files in a message


def rows(path: Path, told: Told = stop) -> Iterator[tuple[int, dict[str, Any]]]:
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
    within = {label.name: _images(label, root) for label in labels}
    others = [f"{label}/{name}" for label, names in within.items() for name in names if not _is_image(name)]
    if others and told is stop:  # reports all of them at once
        raise _no_images(others)
    number = 0
    for label, names in within.items():
        for name in names:
            number += 1
            if _is_image(name):
                yield number, {"image": f"{label}/{name}", "label": label}
            else:
                told(Malformed(number, f"`{label}/{name}` is no image by its name"))


def _is_image(name: str) -> bool:
    return name.lower().endswith(IMAGES)


def _no_images(names: list[str]) -> Malformed:
    shown = ", ".join(f"`{name}`" for name in names[:SHOWN])
    more = f", … {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    verb, these = (
        ("are no images by their names", "them") if len(names) > 1 else ("is no image by its name", f"`{names[0]}`")
    )
    way = f"take {these} out of the folder, or save pictures of other kinds as JPEG or PNG"
    return Malformed(0, f"{shown}{more} {verb} ({', '.join(IMAGES)})", way)


def _images(label: os.DirEntry[str], root: str) -> list[str]:
    """The names of the files of a class."""
    entries = _entries(Path(label.path))
    if not entries:
        raise Malformed(0, f"the class `{label.name}` has no images", f"remove the folder `{label.name}`")
    for entry in entries:
        shown = f"{label.name}/{entry.name}"
        if not _inside(entry, root, shown).is_file():
            kind = "a folder inside a class" if entry.is_dir() else "not a file"
            help = f"name the folder that holds the classes, perhaps `{label.name}` in it" if entry.is_dir() else ""
            raise Malformed(0, f"`{shown}` is {kind}; classes hold images and nothing else", help)
    return [entry.name for entry in entries]


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """The visible entries of a folder, sorted; skips system files: .DS_Store, .ipynb_checkpoints, Thumbs.db."""
    with os.scandir(folder) as entries:
        shown = (entry for entry in entries if not entry.name.startswith(".") and entry.name.lower() not in SYSTEM)
        return sorted(shown, key=lambda entry: entry.name)


def _inside(entry: os.DirEntry[str], root: str, shown: str) -> os.DirEntry[str]:
    """The entry itself; raises Malformed for a name that is no text, and for a link out of `root`."""
    try:
        entry.name.encode()
    except UnicodeEncodeError:
        raise Malformed(0, f"the name {os.fsencode(shown)!r} is not UTF-8") from None
    if entry.is_symlink() and not Path(os.path.realpath(entry.path)).is_relative_to(root):
        raise Malformed(0, f"`{shown}` is a link that leads out of the folder")
    return entry


FORMAT = Format(suffixes=(), rows=rows)  # chosen for a directory
