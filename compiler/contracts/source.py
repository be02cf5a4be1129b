"""The record of a source of backbones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..sources import Located


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Source:
    """The record of a source; `sources/<word>.py` has it as SOURCE.

    It finds a backbone's folder and runs no code of it.
    """

    is_path: bool  # whether the text after the colon is a path, relative to the spec
    locate: Callable[[str, Path, bool], Located]
    """(text after the colon, the spec's folder, whether weights are fetched too) → the folder; raises Missing"""
    held: Callable[[Path], Iterator[Path]]  # files of the folder whose hashes the source itself lists
    check: Callable[[Located, Path | None], None]  # (located, a cache of hashes); raises Missing where a hash differs
    header: Callable[[str, str], Mapping[str, Any]] | None = None
    """(pinned reference, file) → the safetensors header, read without fetching the weights"""
