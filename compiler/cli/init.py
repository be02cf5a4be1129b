"""`graftc init`: copies an example spec."""

from __future__ import annotations

import filecmp
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from ..diagnostics import Status, listed, nearest, refuse
from ..language.source import Source, read
from ..renderers import line_start, one_line
from ..sources import split
from ..store.staging import beside

EXAMPLES = Path(__file__).resolve().parents[2] / "specs"


@click.command("init")
@click.argument("example", required=False)
@click.argument("folder", required=False, type=click.Path(path_type=Path), metavar="[DIR]")
def command(example: str | None, folder: Path | None) -> None:
    """Copy EXAMPLE with its data into DIR, or list the examples. Default DIR: the example's name."""
    names = sorted(file.stem for file in EXAMPLES.glob("*.yaml"))
    if example is None:
        print("\n".join(_listing(names)))
        return
    if example not in names:
        raise refuse(
            "E0213",
            f"there is no example `{example}`",
            f"examples: {listed(names, 40)}",
            help=nearest(example, names),
            status=Status.USAGE,
        )
    target = folder or Path(example)
    count = copy(EXAMPLES / f"{example}.yaml", target)
    print(f"{line_start(str(target / f'{example}.yaml'))} is yours, with {count} files of data; go on with")
    way = [f"cd {target}"] if target != Path() else []
    for line in (*way, *(f"graftc {verb} {example}.yaml" for verb in ("validate", "plan", "build"))):
        print(one_line(f"  {line}"))


def _listing(names: list[str]) -> Iterator[str]:
    width = max(map(len, names))
    yield "examples:"
    for name in names:
        first = (EXAMPLES / f"{name}.yaml").read_text(encoding="utf-8").partition("\n")[0]
        yield f"  {name:<{width}}  {first.removeprefix('#').strip()}"
    yield "start from one: graftc init EXAMPLE [DIR]"


def copy(spec: Path, target: Path) -> int:
    """Copies a spec and its data; returns the number of data files.

    Raises Refused E0501 where a file exists already; errors leave nothing behind.
    """
    source = read(spec)
    data = {path: path.relative_to(spec.parent) for path in _files(source)}
    backbone = {path: path.relative_to(spec.parent) for path in _backbone(source)}
    bases = {Path(base.file): Path(os.path.relpath(base.file, spec.parent)) for base in source.bases}
    # files that two examples share exist already for the second
    files = {path: place for path, place in {**bases, **backbone, **data}.items() if not _is_same(path, target / place)}
    taken = [place for place in (Path(spec.name), *files.values()) if os.path.lexists(target / place)]
    if taken or (os.path.lexists(target) and not target.is_dir()):
        raise refuse(
            "E0501",
            f"`{target / taken[0]}` is there already" if taken else f"`{target}` is not a folder",
            *((f"{len(taken)} files would be overwritten",) if len(taken) > 1 else ()),
            help=f"choose another folder: `graftc init {spec.stem} DIR`",
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    with beside(target / spec.name if target.is_dir() else target) as folder:
        for path, place in {spec: Path(spec.name), **files, **_licences(files, target), **_schema(target)}.items():
            (folder / "new" / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, folder / "new" / place)
        _move(folder / "new", target)
    return len(data)


def _is_same(path: Path, place: Path) -> bool:
    return place.is_file() and filecmp.cmp(path, place, shallow=False)


def _licences(files: dict[Path, Path], target: Path) -> dict[Path, Path]:
    """READMEs with origin and licence of the data, from the folders above it."""
    folders = {folder for place in files.values() for folder in place.parents if folder != Path()}
    notes = {EXAMPLES / folder / "README.md": folder / "README.md" for folder in folders}
    return {path: place for path, place in notes.items() if path.is_file() and not (target / place).exists()}


def _schema(target: Path) -> dict[Path, Path]:
    """The JSON Schema that the first lines of an example name, unless it exists."""
    name = "schema.json"
    return {} if os.path.lexists(target / name) else {EXAMPLES / name: Path(name)}


def _move(staging: Path, target: Path) -> None:
    if not target.is_dir():
        staging.rename(target)
        return
    for path in sorted(staging.rglob("*")):
        if path.is_file():
            place = target / path.relative_to(staging)
            place.parent.mkdir(parents=True, exist_ok=True)
            path.rename(place)


def _files(source: Source) -> list[Path]:
    """The files of the folders and tables that a spec names, and all files beside a table, which may refer to them."""
    found: set[Path] = set()
    for table in _tables(source.data.get("data", {})):
        path = source.folder / table
        folder = path if path.is_dir() else path.parent
        found.update(file for file in folder.rglob("*") if file.is_file() and "__pycache__" not in file.parts)
    return sorted(found)


def _backbone(source: Source) -> list[Path]:
    """The files of a backbone that lies in a folder beside the spec."""
    word, rest = split(source.data["backbone"]["from"])
    folder = source.folder / rest
    return sorted(file for file in folder.iterdir() if file.is_file()) if word == "folder" else []


def _tables(data: dict[str, Any]) -> Iterator[str]:
    for name in ("train", "validation", "test"):
        entries = data.get(name) or ()
        for entry in entries if isinstance(entries, tuple) else (entries,):
            place = entry.get("from") if isinstance(entry, dict) else entry
            if place:
                yield place
