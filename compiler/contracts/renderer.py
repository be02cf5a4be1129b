"""The record of an output form for findings."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..renderers import Checked


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Renderer:
    """The record of an output form; `renderers/<word>.py` has it as RENDERER. The word is a choice of `--format`."""

    report: Callable[[Iterable[Checked], bool], None]  # (results, is_strict): prints the findings of each spec
