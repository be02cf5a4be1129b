"""Reads and checks a bundle's manifest.json, the index of everything in its folder."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from .bytecode import CACHE, is_bytecode
from .errors import BundleError
from .former import OLDEST, lifted
from .shape import ANY, FILE, NUMBER, SIDE, UpTo, wrong

FORMAT = 5
SEALED = 4  # the format from which on a manifest has a seal
MODEL = "model"  # the graph of one pass, where one graph makes it
NAME = "manifest.json"
SIGNATURE = "manifest.sig"  # signs the manifest's bytes, so the manifest can't list it
SIGNATURE_BYTES = 64
GIT = (".git", ".gitattributes")  # at the top of a bundle that is kept in git; never read
LARGEST = 64 << 20  # the most bytes of a manifest
ENDS = ": its lines end in CRLF now"
KEEP_ENDS = "write `* -text` into the repository's .gitattributes, so that git keeps its bytes, and check it out again"
DTYPES = frozenset(("bool", "uint8", "int8", "int32", "int64", "float16", "float32", "float64"))
ARRAY = {"dtype": DTYPES, "shape": [SIDE]}
# an input with a default may be left out; a state is handed from one call of a graph to the next, and is no answer
INPUT, OUTPUT = {**ARRAY, "?default": NUMBER}, {**ARRAY, "?is_state": bool}
# what running a bundle takes; heads and inputs say what they need of their own records
RUNS = {
    "name": str,
    "precisions": [str],
    "graphs": {ANY: {"files": {ANY: FILE}, "inputs": {ANY: INPUT}, "outputs": {ANY: OUTPUT}}},
    "?passes": [str],  # the graphs of a single pass in order, each of which takes what those before it give
    "heads": {ANY: {"type": str}},
    "calibrated": {ANY: {ANY: dict}},  # by precision and head: fields that replace those of its record
    "preprocessing": {"modality": str},
    "files": {ANY: {"bytes": int, "sha256": str}},
}
SAMPLES_ALLOWED = 0.05  # int8 kernels of other processors round differently; fp32 keeps the parity gate
PARITY_ALLOWED = 1.0  # the most that a spec may ask for
VERIFIES = {"gates": {"samples_allowed": UpTo(SAMPLES_ALLOWED), "parity": {"allowed": UpTo(PARITY_ALLOWED)}}}


def modalities(word: str) -> tuple[str, ...]:
    """The modalities that make up one input, from the word in manifest and plan; the backbone reads the first.

    >>> modalities("text"), modalities("text+image")
    (('text',), ('text', 'image'))
    """
    return tuple(word.split("+"))


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
            "it has no manifest.json" if os.path.isdir(folder) else "there is no such folder",
            help="a bundle is the folder that `graftc build` wrote",
        ) from None
    try:
        manifest = json.loads(
            raw if len(raw) <= LARGEST else b"", parse_constant=_refuse, parse_float=_finite, object_pairs_hook=_once
        )
        version, written = manifest["bundle"], seal(manifest)
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
    if version < OLDEST:
        raise _former(version)
    if manifest.get("seal") != (written if version >= SEALED else None):
        raise _damaged(folder, "it was changed after graftc wrote it")
    if version < FORMAT:
        try:
            manifest = lifted(manifest, FORMAT)
        except ModuleNotFoundError:  # a bundle's own runtime reads its own format
            raise _former(version) from None
        except (KeyError, TypeError, AttributeError):
            raise _damaged(folder, f"it is no manifest of format {version}") from None
    require(folder, manifest, RUNS)
    if not manifest["heads"] or (len(manifest["heads"]) > 1 and "" in manifest["heads"]):
        raise _damaged(folder, "it names no heads, or one without a name among others")
    passes = manifest.get("passes", [MODEL])
    if not passes or not manifest["precisions"] or any(name not in manifest["graphs"] for name in passes):
        raise _damaged(folder, "it names no graph")
    if len(set(passes)) < len(passes):
        raise _damaged(folder, "it names a graph twice for a single pass")
    for name, graph in manifest["graphs"].items():
        if sorted(manifest["precisions"]) != sorted(graph["files"]):
            raise _damaged(folder, f"the graph `{name}` has other precisions than the bundle")
    return dict(manifest)


def require(folder: Path, manifest: Mapping[str, Any], shape: Any, inside: Sequence[str] = ()) -> None:
    """Raises BundleError E0503 where a manifest, or its value at the keys `inside`, does not have a shape."""
    value: Any = manifest
    for key in inside:
        value = value[key]
    mistakes = list(wrong(value, shape, ".".join(filter(None, inside))))
    if mistakes:
        raise _damaged(folder, *mistakes[:5])


def seal(manifest: Mapping[str, Any]) -> str:
    """SHA-256 of a manifest's canonical JSON without its seal: it detects accidents, not forgery."""
    rest = {key: value for key, value in manifest.items() if key != "seal"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def sealed(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """A manifest with its seal."""
    return {**manifest, "seal": seal(manifest)}


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; raises ValueError for repeated keys, which readers resolve in different ways."""
    found = dict(pairs)
    return found if len(found) == len(pairs) else _refuse("a key twice")


def _refuse(word: str) -> Any:
    raise ValueError(word)


def _finite(word: str) -> float:
    """A JSON number; raises ValueError for one too large for a float."""
    number = float(word)
    return number if math.isfinite(number) else _refuse(word)


def _former(version: int) -> BundleError:
    note = f"this runtime reads formats {OLDEST} to {FORMAT}"
    help = "build the bundle again, or use the graftc that built it"
    return BundleError("E0506", f"bundle format {version} is no longer read", note, help=help)


def _damaged(folder: Path, *notes: str) -> BundleError:
    return BundleError(
        "E0503", f"the manifest of `{folder}` can't be read", *notes, help="build or copy the bundle again"
    )


def is_odd(signature: Path) -> bool:
    """Whether a file has another size than a signature."""
    return signature.is_file() and signature.stat().st_size != SIGNATURE_BYTES


def told(name: str) -> str:
    """A sentence on a file that is not the bundle's."""
    way = ": delete it" if CACHE in PurePosixPath(name).parts else ""
    return f"`{name}` is not part of the bundle{way}"


def strangers(folder: Path, files: Iterable[str], is_strict: bool = False) -> Iterator[str]:
    """The files, folders (with `/`) and links in a folder that the manifest does not list, by path.

    `.git` and the wrapper's byte code are allowed unless `is_strict`. Links are not followed, and foreign folders are
    not searched.
    """
    known = {*files, NAME, SIGNATURE}
    folders = {f"{parent}/" for name in known for parent in PurePosixPath(name).parents}
    return _strangers(folder, "", known, folders, is_strict)


def _strangers(folder: Path, inside: str, known: set[str], folders: set[str], is_strict: bool) -> Iterator[str]:
    for entry in sorted(os.scandir(folder / inside), key=lambda entry: entry.name):
        name, is_top = f"{inside}{entry.name}", not inside and not is_strict
        if entry.is_symlink():
            yield name
        elif entry.is_dir(follow_symlinks=False):
            if is_top and name == CACHE:
                yield from _foreign_bytecode(folder)
            elif f"{name}/" in folders:
                yield from _strangers(folder, f"{name}/", known, folders, is_strict)
            elif not (is_top and name in GIT):
                yield f"{name}/"
        elif not entry.is_file(follow_symlinks=False) or not (name in known or (is_top and name in GIT)):
            yield name


def _foreign_bytecode(folder: Path) -> Iterator[str]:
    """Files in the byte code cache that this Python would not compile from the wrapper."""
    for entry in sorted(os.scandir(folder / CACHE), key=lambda entry: entry.name):
        is_file = entry.is_file(follow_symlinks=False) and not entry.is_symlink()
        if not (is_file and is_bytecode(Path(entry.path), folder / "predict.py")):
            yield f"{CACHE}/{entry.name}"


def changed(folder: Path, files: Mapping[str, Any]) -> Iterator[str]:
    """A sentence for each file of a manifest that is missing or changed."""
    for name, entry in files.items():
        path = folder / name
        if not _is_inside(folder, name):
            yield f"`{name}` leads out of the bundle"
        elif not path.is_file():
            yield f"`{name}` is missing"
        elif path.stat().st_size != entry["bytes"] or sha256(path) != entry["sha256"]:
            yield f"`{name}` was changed{ENDS if _has_other_ends(path, entry) else ''}"


def _has_other_ends(path: Path, entry: Mapping[str, Any]) -> bool:
    """Whether a file differs only by a carriage return at the end of each line, which git may add."""
    size = path.stat().st_size
    if not entry["bytes"] < size <= min(2 * entry["bytes"], LARGEST):
        return False
    return hashlib.sha256(unix(path.read_bytes())).hexdigest() == entry["sha256"]


def unix(raw: bytes) -> bytes:
    """A text with line feeds as ends of lines."""
    return raw.replace(b"\r\n", b"\n")


def _is_inside(folder: Path, name: str) -> bool:
    """Whether a name leads to a place inside the folder, by its parts and by its links."""
    words = PurePosixPath(name)
    sizes = [len(word.encode("utf-8", "surrogatepass")) for word in words.parts]
    if words.is_absolute() or ".." in words.parts or "\0" in name or not sizes:
        return False
    if max(sizes) > 255 or sum(sizes) > 1000:  # longer than file systems allow
        return False
    try:
        real = Path(os.path.realpath(folder / name))  # does not fail for circular links
        return real.is_relative_to(os.path.realpath(folder))
    except (OSError, ValueError):
        return False


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
