"""Reads names, shapes and dtypes of a checkpoint from its safetensors headers, without its weights."""

from __future__ import annotations

import hashlib
import json
import math
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..diagnostics import At, quote, refuse
from ..files import whole
from ..frozen import Frozen
from ..store.hashes import canonical

BYTES = {
    **{"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1, "BOOL": 1},
    **{"I64": 8, "I32": 4, "I16": 2, "I8": 1, "U64": 8, "U32": 4, "U16": 2, "U8": 1},
}
LARGEST = 100_000_000  # the most bytes of a header in the safetensors format
MOST = 20_000  # the most tensors
LONGEST = 500  # the most characters of a tensor's name
DEEPEST = 16  # the most dimensions of a tensor
FAR = 1 << 62  # no number in a header may be larger
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.h5", "*.msgpack")
INDEX = "model.safetensors.index.json"
_AT = At(("backbone", "from"))


class Tensor(Frozen):
    """A stored tensor."""

    name: str
    shape: tuple[int, ...]
    dtype: str

    @property
    def size(self) -> int:
        """The number of elements."""
        count = 1
        for side in self.shape:
            count *= side
        return count


@dataclass(frozen=True)
class Header:
    """The contents of a checkpoint's headers; `sha256` covers all of them."""

    tensors: tuple[Tensor, ...]
    files: tuple[str, ...]
    sha256: str


Fetch = Callable[[str], Mapping[str, Any]]  # name of a file that is not fetched → its header


def read_header(folder: Path, fetch: Fetch | None = None) -> Header:
    """Reads the headers of one file or of an index's files; `fetch` returns headers of files not in the folder.

    Raises Refused E0303 where there are no safetensors and E0304 where a header is damaged.
    """
    files, indexed = _files(folder, fetch is not None)
    digest = hashlib.sha256()
    tensors: dict[str, Tensor] = {}
    for name in files:
        entries = fetch(name) if fetch and not (folder / name).is_file() else _entries(folder / name)
        entries = {key: entry for key, entry in entries.items() if key != "__metadata__"}
        digest.update(canonical(entries).encode())
        for key, entry in entries.items():
            if key in tensors:
                raise refuse("E0304", f"tensor {quote(key)} stands in two files of the backbone", at=_AT)
            tensors[key] = Tensor(name=key, shape=tuple(entry["shape"]), dtype=entry["dtype"])
    lost = next((key for key in indexed if key not in tensors), None)
    if lost is not None:
        raise refuse("E0304", f"tensor {quote(lost)} of the backbone's index is in none of its files", at=_AT)
    ordered = tuple(tensors[key] for key in sorted(tensors))
    return Header(ordered, files, digest.hexdigest())


def _files(folder: Path, is_elsewhere: bool) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(names of the files with weights, names of the tensors that an index lists)."""
    index = folder / INDEX
    if (folder / "model.safetensors").is_file():
        return ("model.safetensors",), ()
    if index.is_file():
        try:
            found = json.loads(whole(index, LARGEST))["weight_map"]
            names, tensors = sorted(set(found.values())), tuple(sorted(found))
            is_sound = bool(names) and all(isinstance(name, str) and Path(name).name == name for name in names)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            is_sound, names, tensors = False, [], ()
        if not is_sound:
            raise refuse("E0304", f"the backbone's {INDEX} can't be read", at=_AT)
        missing = [name for name in names if not is_elsewhere and not (folder / name).is_file()]
        if missing:
            help = "copy the backbone again, with all of its files"
            raise refuse("E0304", f"the backbone's shard {quote(missing[0])} is missing", at=_AT, help=help)
        return tuple(names), tensors
    if is_elsewhere:
        return ("model.safetensors",), ()
    pickles = sorted(file.name for pattern in PICKLES for file in folder.glob(pattern))
    if pickles:
        raise refuse(
            "E0303",
            "the backbone's weights are not safetensors",
            f"found {', '.join(pickles)}: a pickle can run code when it is opened, so graftc does not read it",
            at=_AT,
            help="convert once, where you trust the file: `AutoModel.from_pretrained(folder).save_pretrained(folder)`",
        )
    raise refuse(
        "E0303",
        "the backbone has no weights",
        f"no model.safetensors and no {INDEX} in its folder",
        at=_AT,
    )


def _entries(path: Path) -> dict[str, Any]:
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 2 <= length <= min(LARGEST, size - 8):
            raise refuse(
                "E0304",
                f"the header of `{path.name}` is damaged",
                f"it claims {length} bytes, the file has {size}",
                at=_AT,
            )
        text = file.read(length)
    try:
        found: dict[str, Any] = json.loads(text, object_pairs_hook=_pairs)
        noted = found.pop("__metadata__", None) or {}
        if not all(isinstance(value, str) for value in noted.values()):
            raise _Lie("its `__metadata__` holds what is no text")
        end = _end(found)
        canonical(found).encode()  # raises for a name with a lone surrogate
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        notes = (str(error),) if isinstance(error, _Lie) else ()
        raise refuse("E0304", f"the header of `{path.name}` is damaged", *notes, at=_AT) from None
    if end != size - 8 - length:
        raise refuse(
            "E0304",
            f"`{path.name}` is cut short or padded",
            f"its header describes {end} bytes of weights, {size - 8 - length} follow",
            at=_AT,
            help="copy the backbone again",
        )
    return found


def is_header(found: Any) -> bool:
    """Whether a value is a safetensors header whose shapes and offsets agree."""
    try:
        entries = {name: entry for name, entry in found.items() if name != "__metadata__"}
        return _end(entries) >= 0
    except (ValueError, KeyError, TypeError, AttributeError):
        return False


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of a header; raises _Lie for too many or too long names, and for repeated ones."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Lie("it says something twice")
    if len(found) > MOST:
        raise _Lie(f"it names {len(found):,} tensors; at most {MOST:,} are read")
    if any(len(name) > LONGEST for name in found):
        raise _Lie(f"a tensor's name is longer than {LONGEST} characters")
    return found


class _Lie(ValueError):
    """A contradiction in a header; its message is for users."""


def _end(entries: Mapping[str, Any]) -> int:
    """The end of the weights in bytes; raises _Lie where shapes, dtypes and offsets disagree, or tensors overlap."""
    end = 0
    for name, entry in sorted(entries.items(), key=lambda item: tuple(item[1]["data_offsets"])):
        start, stop = entry["data_offsets"]
        if entry["dtype"] not in BYTES:
            raise _Lie(f"tensor {quote(name)} has the dtype {quote(entry['dtype'])}, which is not known")
        if len(entry["shape"]) > DEEPEST:
            raise _Lie(f"tensor {quote(name)} has {len(entry['shape'])} sides; at most {DEEPEST} are read")
        if not all(type(number) is int and 0 <= number < FAR for number in (start, stop, *entry["shape"])):
            raise _Lie(f"the shape or place of tensor {quote(name)} is not made of whole numbers")
        if stop - start != math.prod(entry["shape"]) * BYTES[entry["dtype"]]:
            raise _Lie(f"tensor {quote(name)} has {stop - start} bytes, which is not what its shape and dtype take")
        if start != end:
            raise _Lie(f"tensor {quote(name)} starts at byte {start}, the one before ends at {end}")
        end = stop
    return end
