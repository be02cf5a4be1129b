"""The record of a unit of execution."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..execution.work import Work


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Stage:
    """`stages/<word>.py` has STAGE: it reads the folders of other stages and fills one of its own."""

    run: Callable[[Work], None]
