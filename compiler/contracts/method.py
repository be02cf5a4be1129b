"""The record of an adaptation method: how a backbone learns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ..frozen import Frozen
from .reading import Record

if TYPE_CHECKING:
    import torch

    from ..decision import Decided
    from ..diagnostics import Diagnostic
    from ..facts.backbone import BackboneFacts
    from ..methods import Lowered

Keys = TypeVar("Keys", bound=Frozen)  # the keys that a spec may write


def nothing_wrong(options: Any, backbone: BackboneFacts, frozen: frozenset[str]) -> Iterable[Diagnostic]:
    """Any options do, on a backbone that provides what the method needs."""
    return ()


def nothing_decided(options: Any, backbone: BackboneFacts) -> Mapping[str, Decided[Any]]:
    """The options leave nothing open."""
    return {}


def no_positions(options: Any) -> int:
    """All of the backbone's positions are left to inputs."""
    return 0


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Method(Generic[Keys]):
    """`methods/<method>.py` has METHOD. One that differs in little is `replace` of another's.

    A head may have a method's adapters for itself, so `apply` and `reload` also meet modules over tensors that others
    stand on, and write into none of them.
    """

    options: type[Keys]  # keys under `adapt`
    learning_rate: float  # default, of what learns in the backbone
    head_learning_rate: float  # default, of heads
    usual: tuple[float, float]  # learning rates outside are worth a look
    needs: frozenset[str] = frozenset()  # what a backbone must provide: words of `methods.CAPABILITIES`
    merges: bool = False  # whether tensors of its own become part of the backbone's
    freezes: bool = False  # whether the whole backbone runs in inference mode
    starts_untouched: bool = False  # whether the backbone answers as it did until the first step: heads can be fitted

    # (options, backbone, names of frozen tensors); asked of a backbone that provides what it needs
    problems: Callable[[Keys, BackboneFacts, frozenset[str]], Iterable[Diagnostic]] = nothing_wrong
    decided: Callable[[Keys, BackboneFacts], Mapping[str, Decided[Any]]] = nothing_decided  # what options leave open
    positions: Callable[[Keys], int] = no_positions  # how many of the backbone's it takes
    lower: Callable[[Keys, BackboneFacts, frozenset[str]], Lowered]  # (options, backbone, names of frozen tensors)

    apply: Callable[[torch.nn.Module, Record], torch.nn.Module]  # (module, record) → the adapted module
    plain: Callable[[str], str]  # a tensor's name in the adapted module → the planned name
    merge: Callable[[torch.nn.Module], torch.nn.Module]  # the adapted module → the plain one
    save: Callable[[torch.nn.Module, Path], None]  # (adapted module, folder): its own tensors, or else all
    reload: Callable[[torch.nn.Module, Path], torch.nn.Module] | None = None
    """(module, folder) → the adapted module, of a method with tensors of its own"""

    @property
    def adds(self) -> bool:
        """Whether it has tensors of its own; its checkpoint is these, without the backbone."""
        return self.reload is not None
