"""The record of a stage."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..execution.work import Work


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Stage:
    """The record of a stage; `stages/<word>.py` has it as STAGE. It reads folders of other stages and fills its own."""

    run: Callable[[Work], None]
