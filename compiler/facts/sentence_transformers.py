"""Reads the sentence-transformers files beside a backbone: pooling, length, normalisation."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import variants
from ..decision import Decided
from ..diagnostics import At, Refused, quote, refuse
from ..sources import SENTENCES
from .rows import kind_of

MODULES, LENGTH, POOLING = SENTENCES
FOLDER = POOLING.partition("/")[0]
MOST = 1 << 20  # the most bytes of a file
# key of older files → mode of sentence-transformers' Pooling; mode → pooling of graftc
KEYS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
OURS = {"cls": "cls", "max": "max", "mean": "mean", "lasttoken": "last"}
READ = ("Transformer", "Pooling", "Normalize")


@dataclass(frozen=True)
class Sentences:
    """How a sentence-transformers folder makes a vector of a text."""

    pooling: str | None  # a pooling of graftc; None for none
    foreign: str  # a pooling that graftc lacks, in sentence-transformers' words; "" for none
    max_length: int | None  # tokens, special ones included
    is_normalized: bool
    unread: tuple[str, ...]  # further modules and settings that affect their vectors


def read_sentences(folder: Path) -> Sentences | None:
    """The contents of a folder's files; None where it is no sentence-transformers folder.

    Raises Refused E0580 for a damaged file.
    """
    if not _is_there(folder, MODULES):
        return None
    modules = _read(folder, MODULES)
    if not isinstance(modules, list):
        raise _wrong(MODULES, f"it holds {kind_of(modules)}, not a list of modules")
    kinds = [_kind(module) for module in modules]
    modes = _modes(folder, modules[kinds.index("Pooling")]) if "Pooling" in kinds else ()
    length, is_lowered = _length(folder)
    unread = [kind for kind in kinds if kind not in READ] + ["do_lower_case"] * is_lowered
    pooling = OURS.get(modes[0]) if len(modes) == 1 else None
    foreign = "" if pooling else " with ".join(modes)
    return Sentences(pooling, foreign, length, "Normalize" in kinds, tuple(dict.fromkeys(unread)))


def usual_length(said: Sentences | None, heads: Iterable[str]) -> Decided[int] | None:
    """The length that a folder names for its texts; None where it names none, or where a head does not pool."""
    if said is None or said.max_length is None or any(variants.top(word).needs != "pooled" for word in heads):
        return None
    return Decided(said.max_length, f"`max_seq_length` in the backbone's {LENGTH}")


def _kind(module: Any) -> str:
    """The class name of a module."""
    kind = module.get("type") if isinstance(module, dict) else None
    if not isinstance(kind, str) or not kind:
        raise _wrong(MODULES, "a module of it names no `type`")
    return kind.rpartition(".")[2]


def _modes(folder: Path, module: Mapping[str, Any]) -> tuple[str, ...]:
    """The modes of Pooling; with several, their vectors are concatenated."""
    if module.get("path") != FOLDER:
        return (f"the Pooling of {quote(str(module.get('path')))}",)
    found = _read(folder, POOLING)
    if not isinstance(found, dict):
        raise _wrong(POOLING, f"it holds {kind_of(found)}, not an object")
    modes = found["pooling_mode"] if "pooling_mode" in found else [m for k, m in KEYS.items() if _is_on(found, k)]
    modes = [modes] if isinstance(modes, str) else modes or ["mean"]
    if not isinstance(modes, list) or any(mode not in KEYS.values() for mode in modes):
        raise _wrong(POOLING, f"`pooling_mode` is none that they have: {quote(json.dumps(modes)[:80])}")
    return tuple(modes)


def _is_on(found: Mapping[str, Any], key: str) -> bool:
    value = found.get(key, False)
    if value not in (None, 0, 1):
        raise _wrong(POOLING, f"`{key}` is {kind_of(value)}, not true or false")
    return bool(value)


def _length(folder: Path) -> tuple[int | None, bool]:
    """(most tokens of a text, whether texts are lower-cased before tokenization)."""
    found = _read(folder, LENGTH) if _is_there(folder, LENGTH) else {}
    if not isinstance(found, dict):
        raise _wrong(LENGTH, f"it holds {kind_of(found)}, not an object")
    length = found.get("max_seq_length")
    if length is not None and (type(length) is not int or length < 1):
        raise _wrong(LENGTH, "`max_seq_length` is not a number of tokens")
    return length, found.get("do_lower_case") is True


def _is_there(folder: Path, name: str) -> bool:
    return (folder / name).is_file()  # a pipe would be waited for


def _read(folder: Path, name: str) -> Any:
    """The JSON of a file."""
    if not _is_there(folder, name):
        raise _wrong(name, "it is not there")
    try:
        with (folder / name).open("rb") as file:
            raw = file.read(MOST + 1)
        if len(raw) > MOST:
            raise _wrong(name, f"it is longer than {MOST >> 20} MiB")
        return json.loads(raw)
    except OSError as error:
        raise _wrong(name, error.strerror or "it can't be opened") from None
    except (ValueError, RecursionError):
        raise _wrong(name, "it can't be read as JSON") from None


def _wrong(name: str, reason: str) -> Refused:
    help = f"get the file anew from where the backbone came from; without {MODULES} none of theirs is read"
    return refuse("E0580", f"the backbone's {name} can't be read", reason, at=At(("backbone", "from")), help=help)
