"""The record of an adaptation method: how a backbone learns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ..frozen import Frozen
from .reading import Record

if TYPE_CHECKING:
    from ..decision import Decided
    from ..diagnostics import Diagnostic
    from ..facts.backbone import BackboneFacts
    from ..methods import Lowered

Keys = TypeVar("Keys", bound=Frozen)  # the keys that a spec may write


def nothing_decided(options: Any, backbone: BackboneFacts) -> Mapping[str, Decided[Any]]:
    """The options leave nothing open."""
    return {}


def no_positions(options: Any) -> int:
    """It takes none of the backbone's positions."""
    return 0


@dataclass(frozen=True, kw_only=True)
class Method(Generic[Keys]):
    """`methods/<method>.py` has METHOD.

    A head may have a method's adapters for itself, so `apply` and `reload` also meet modules over tensors that others
    stand on, and write into none of them.
    """

    options: type[Keys]  # keys under `adapt`
    learning_rate: float  # default
    head_learning_rate: float
    usual: tuple[float, float]  # learning rates outside are worth a look
    needs: frozenset[str] = frozenset()  # what a backbone must provide
    adds: bool  # tensors of its own, saved without the backbone
    merges: bool  # they become part of the backbone's
    freezes: bool = False  # the whole backbone runs in inference mode
    starts_untouched: bool = False  # the backbone answers as it did until the first step: heads can be fitted before

    problems: Callable[[Keys, BackboneFacts, frozenset[str]], Iterable[Diagnostic]]  # (options, backbone, frozen names)
    decided: Callable[[Keys, BackboneFacts], Mapping[str, Decided[Any]]] = (
        nothing_decided  # what the options leave open
    )
    positions: Callable[[Keys], int] = no_positions  # of the backbone, that it takes
    lower: Callable[[Keys, BackboneFacts, frozenset[str]], Lowered]  # (options, backbone, frozen names)
    apply: Callable[[Any, Record], Any]  # (module, record) → the adapted module
    plain: Callable[[str], str]  # a name in the adapted module → the planned name
    merge: Callable[[Any], Any]  # the adapted module → the plain one
    save: Callable[[Any, Path], None]  # (module, folder)
    reload: Callable[[Any, Path], Any] | None = None  # (backbone, folder) → adapted, of a method that `adds`
