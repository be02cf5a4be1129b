"""The record of an adaptation method."""

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

Keys = TypeVar("Keys", bound=Frozen)  # a model of the keys that a spec may write


def nothing_wrong(options: Any, backbone: BackboneFacts, frozen: frozenset[str]) -> Iterable[Diagnostic]:
    """The default of `Method.problems`: any options work on a backbone with the needed capabilities."""
    return ()


def nothing_decided(options: Any, backbone: BackboneFacts) -> Mapping[str, Decided[Any]]:
    """The default of `Method.decided`: the options leave nothing open."""
    return {}


def no_positions(options: Any) -> int:
    """The default of `Method.positions`: the method takes no positions of the backbone."""
    return 0


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Method(Generic[Keys]):
    """The record of an adaptation method; `methods/<method>.py` has it as METHOD.

    A head may have adapters of its own. Therefore `apply` and `reload` also get modules whose tensors other modules
    share, and write into none of those tensors. A method that differs in little from another is a `dataclasses.replace`
    of that one's record.
    """

    options: type[Keys]  # keys under `adapt`
    learning_rate: float  # default rate of the backbone's learning tensors
    head_learning_rate: float  # default rate of heads
    usual: tuple[float, float]  # (lowest, highest): a learning rate outside gets a warning
    needs: frozenset[str] = frozenset()  # capabilities that a backbone must have: words of `methods.CAPABILITIES`
    merges: bool = False  # whether added tensors are merged into the backbone's weights
    freezes: bool = False  # whether the whole backbone runs in inference mode
    starts_untouched: bool = False  # whether outputs are unchanged before the first step, so heads can be fitted
    packs: bool = True  # whether rows may share a block: not where tokens of the method's own stand before each

    # (options, backbone, names of frozen tensors); called where the backbone has the needed capabilities
    problems: Callable[[Keys, BackboneFacts, frozenset[str]], Iterable[Diagnostic]] = nothing_wrong
    decided: Callable[[Keys, BackboneFacts], Mapping[str, Decided[Any]]] = nothing_decided
    """(options, backbone) → values left open by the spec, with reasons"""
    positions: Callable[[Keys], int] = no_positions  # options → positions of the backbone that the method takes
    lower: Callable[[Keys, BackboneFacts, frozenset[str]], Lowered]  # (options, backbone, names of frozen tensors)

    apply: Callable[[torch.nn.Module, Record], torch.nn.Module]  # (module, record) → the adapted module
    plain: Callable[[str], str]  # a tensor's name in the adapted module → the planned name
    merge: Callable[[torch.nn.Module], torch.nn.Module]  # the adapted module → the module without adapters
    save: Callable[[torch.nn.Module, Path], None]
    """(adapted module, folder): writes the added tensors, or all tensors where none are added"""
    reload: Callable[[torch.nn.Module, Path], torch.nn.Module] | None = None
    """(module, folder) → the adapted module; for a method that adds tensors"""

    @property
    def adds(self) -> bool:
        """Whether the method adds tensors; its checkpoint then holds only those."""
        return self.reload is not None
