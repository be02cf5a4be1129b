"""The record of a place that backbones come from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..sources import Located


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Source:
    """`sources/<word>.py` has SOURCE: it finds a backbone's folder, and runs no code of it."""

    is_path: bool  # what stands after the colon is a path, relative to the spec
    locate: Callable[[str, Path, bool], Located]
    """(reference after the colon, the spec's folder, whether weights are fetched too); raises Missing"""
    held: Callable[[Path], Iterator[Path]]  # what of that folder is held against a list of its own
    check: Callable[[Located, Path | None], None]  # (located, a memory of hashes); raises Missing where it is otherwise
    header: Callable[[str, str], Mapping[str, Any]] | None = None
    """(pinned reference, file) → the safetensors header of weights that stay where they are"""
