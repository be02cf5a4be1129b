"""The record of a modality on the compiling side: what a spec may write under `data` of it, and how the plan fixes it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ..frozen import Frozen
from .reading import Columns, Record, RowReader

if TYPE_CHECKING:
    import numpy as np

    from ..decision import Decided
    from ..diagnostics import Diagnostic

Keys = TypeVar("Keys", bound=Frozen)  # the keys that a spec may write


def unchanged(options: Any) -> Frozen | None:
    """Training sees inputs as they are."""
    return None


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Windows(Generic[Keys]):
    """Of a modality whose long inputs can be read in windows."""

    add: Callable[[Keys, Record], Record]  # (options, record) → what is added to the record
    crowded: Callable[[Keys, Record], Iterable[Diagnostic]]  # (options, record): where they have no room


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Vocabulary:
    """Of a modality whose inputs are cut into tokens: what its file says of those that are no words."""

    masking: Callable[[Path], Record]  # (backbone's folder) → added to the record where tokens are masked
    special: Callable[[Path], Record]  # (backbone's folder) → added to the record where texts are joined


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Input(Generic[Keys]):
    """`inputs/<modality>.py` has INPUT; `runtime/inputs/<modality>.py` has the way from raw inputs to arrays."""

    options: type[Keys]  # keys that a spec may write under `data`
    arrays: tuple[str, ...]  # that it makes of a batch, those of a backbone's inputs among them
    reader: RowReader

    preprocessing: Callable[[Path, Record, Keys, int | None, Columns, Decided[int] | None], Record]
    """(backbone's folder, config.json, options, longest, columns, usual) → the plan's record"""
    decided: Callable[[Keys, Record, int | None, Decided[int] | None], Mapping[str, Decided[Any]]]
    """(options, record, longest, usual) → what was left open"""
    windows: Windows[Keys] | None = None
    vocabulary: Vocabulary | None = None
    misfits: Callable[[Record, Path, Any], Iterable[Diagnostic]]  # (record, folder, backbone): what can't go together
    problems: Callable[[Keys, int | None], Iterable[Diagnostic]]  # (options, longest)
    measure: Callable[[Iterable[Any], Record, Path], Mapping[str, float]]  # of a sample of raw inputs
    statistics: tuple[str, ...] = ()  # names of what `measure` gives that planning needs, and a lock has
    doubts: Callable[[Record, Mapping[str, float], Any], Iterable[Diagnostic]]  # (record, measured, longest)
    augmentation: Callable[[Keys], Frozen | None] = unchanged  # random changes to training inputs, by their options
    augments: tuple[str, ...] = ()  # the options that ask for them

    stored: Callable[[Record, Mapping[str, float]], int]  # bytes of a prepared row
    samples: Callable[[int, Record], list[Any]]
    """(seed, record) → golden inputs; graphs are traced with the first three, so none of these is of the shortest"""
    array: Callable[[str, Record], Record]  # dtype and shape of an input of the graph
    shortest: Callable[[Record], Mapping[str, np.ndarray]]  # arrays of one input, as short as any backbone can read
    assets: Callable[[Path], Mapping[str, Path]]  # files of the backbone that travel, by name
    portable: Callable[[Any], Any]  # a raw input as JSON

    # of what people read
    shown: tuple[str, ...]  # fields of the record that a plan is shown with
    example: Callable[[Record], str]  # an input as Python code
    typed: Callable[[Record], str]  # the same as words of a shell's command line
    limits: Callable[[Record], str]  # what of an input is read and what is not, in a sentence
    packages: tuple[str, ...] = ()  # libraries that prepare it: their versions are part of keys in the store
