"""The record of a place that backbones come from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..sources import Located


@dataclass(frozen=True, kw_only=True)
class Source:
    """`sources/<word>.py` has SOURCE: it finds a backbone's folder, and runs no code of it."""

    is_path: bool  # what stands after the colon is a path, relative to the spec
    locate: Callable[[str, Path], Located]  # (reference after the colon, the spec's folder); raises Missing
    held: Callable[[Path], Iterator[Path]]  # what of that folder is held against a list of its own
    check: Callable[[Located, Path | None], None]  # (located, a memory of hashes); raises Missing where it is otherwise
