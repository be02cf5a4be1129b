"""Reads names, shapes and dtypes of a checkpoint from its safetensors headers, without its weights."""

from __future__ import annotations

import hashlib
import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .diagnostics import At, refuse
from .frozen import Frozen

BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}
LARGEST = 100_000_000  # bytes of header that the format allows
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.h5", "*.msgpack")
_AT = At(("backbone", "from"))


class Tensor(Frozen):
    """A stored tensor."""

    name: str
    shape: tuple[int, ...]
    dtype: str

    @property
    def size(self) -> int:
        """How many numbers it holds."""
        count = 1
        for side in self.shape:
            count *= side
        return count


@dataclass(frozen=True)
class Header:
    """What a checkpoint's headers say; `sha256` covers all of them."""

    tensors: tuple[Tensor, ...]
    files: tuple[str, ...]
    sha256: str


def read_header(folder: Path) -> Header:
    """Reads one file or a sharded index.

    Raises Refused E0303 where there are no safetensors and E0304 where a header is damaged.
    """
    files = _files(folder)
    digest = hashlib.sha256()
    tensors: dict[str, Tensor] = {}
    for name in files:
        text, entries = _entries(folder / name)
        digest.update(text)
        for key, entry in entries.items():
            if key in tensors:
                raise refuse("E0304", f"tensor `{key}` stands in two files of the backbone", at=_AT)
            tensors[key] = Tensor(name=key, shape=tuple(entry["shape"]), dtype=entry["dtype"])
    ordered = tuple(tensors[key] for key in sorted(tensors))
    return Header(ordered, files, digest.hexdigest())


def _files(folder: Path) -> tuple[str, ...]:
    index = folder / "model.safetensors.index.json"
    if (folder / "model.safetensors").is_file():
        return ("model.safetensors",)
    if index.is_file():
        try:
            names = sorted(set(json.loads(index.read_bytes())["weight_map"].values()))
        except (ValueError, KeyError, TypeError, AttributeError):
            raise refuse("E0304", "the backbone's model.safetensors.index.json can't be read", at=_AT) from None
        missing = [
            name
            for name in names
            if not (folder / name).is_file() or (folder / name).parent.resolve() != folder.resolve()
        ]
        if missing:
            raise refuse("E0304", f"the backbone's shard `{missing[0]}` is missing", at=_AT)
        return tuple(names)
    pickles = sorted(file.name for pattern in PICKLES for file in folder.glob(pattern))
    if pickles:
        raise refuse(
            "E0303", "the backbone's weights are not safetensors", f"found {', '.join(pickles)}: a pickle can run code when it is opened, so graftc does not read it", at=_AT,
            help="convert once, where you trust the file: `AutoModel.from_pretrained(folder).save_pretrained(folder)`",
        )  # fmt: skip
    raise refuse(
        "E0303",
        "the backbone has no weights",
        "no model.safetensors and no model.safetensors.index.json in its folder",
        at=_AT,
    )


def _entries(path: Path) -> tuple[bytes, dict[str, Any]]:
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
        entries = json.loads(text)
        entries.pop("__metadata__", None)
        end = max((_check(entry) for entry in entries.values()), default=0)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise refuse("E0304", f"the header of `{path.name}` is damaged", at=_AT) from None
    if end != size - 8 - length:
        raise refuse(
            "E0304",
            f"`{path.name}` is cut short or padded",
            f"its header describes {end} bytes of weights, {size - 8 - length} follow",
            at=_AT,
        )
    return text, entries


def _check(entry: dict[str, Any]) -> int:
    """The end of a tensor's bytes; raises ValueError where shape, dtype and offsets disagree."""
    start, end = entry["data_offsets"]
    count = 1
    for side in entry["shape"]:
        if not isinstance(side, int) or side < 0:
            raise ValueError(side)
        count *= side
    if end - start != count * BYTES[entry["dtype"]]:
        raise ValueError(entry)
    return int(end)
