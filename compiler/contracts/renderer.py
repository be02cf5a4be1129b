"""The record of a form in which findings are printed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..renderers import Checked


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Renderer:
    """`renderers/<word>.py` has RENDERER; its word is a choice of `--format`."""

    report: Callable[[Iterable[Checked], bool], None]  # (results, is_strict): prints what was found in each spec
