"""The record of a modality on the compiling side: its keys under `data`, and its part of the plan."""

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

Keys = TypeVar("Keys", bound=Frozen)  # a model of the keys that a spec may write


def itself(value: Any) -> Any:
    """A bundle is asked what a row has."""
    return value


def nothing_more(folder: Path, record: Record) -> Record:
    """The default of `Input.settle`: the record has all of it."""
    return {}


def nothing_beside(record: Record) -> Mapping[str, str]:
    """The default of `Input.beside`: the backbone's own files are enough."""
    return {}


def unchanged(options: Any) -> Frozen | None:
    """The default of `Input.augmentation`: training inputs are not changed."""
    return None


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Windows(Generic[Keys]):
    """The functions of a modality whose long inputs can be read in windows."""

    add: Callable[[Keys, Record], Record]  # (options, record) → fields added to the record
    crowded: Callable[[Keys, Record], Iterable[Diagnostic]]  # (options, record) → findings where windows do not fit


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Vocabulary:
    """The special tokens of a modality whose inputs are tokenized."""

    masking: Callable[[Path], Record]  # (backbone's folder) → fields added to the record for masking
    special: Callable[[Path], Record]  # (backbone's folder) → fields added to the record for joined texts


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Input(Generic[Keys]):
    """The record of a modality; `inputs/<modality>.py` has it as INPUT.

    `runtime/inputs/<modality>.py` makes arrays of raw inputs, in training and in the bundle.
    """

    options: type[Keys]  # keys that a spec may write under `data`
    feeds: str = ""  # the modality of the backbones that take its arrays; empty for its own
    arrays: tuple[str, ...]  # that it makes of a batch, those of a backbone's inputs among them
    reader: RowReader

    preprocessing: Callable[[Path, Record, Keys, int | None, Columns, Decided[int] | None], Record]
    """(backbone's folder, config.json, options, longest, columns, usual) → the plan's record"""
    decided: Callable[[Keys, Record, int | None, Decided[int] | None], Mapping[str, Decided[Any]]]
    """(options, record, longest, usual) → what was left open"""
    settle: Callable[[Path, Record], Record] = nothing_more
    """(backbone's folder, the record with what the head adds to it) → fields that follow; raises Refused"""
    template: Callable[[Path, str | None, Columns], Record] | None = None
    """(backbone's folder, a chat template of the spec's own, columns) → fields added to the record for conversations"""
    windows: Windows[Keys] | None = None
    vocabulary: Vocabulary | None = None
    misfits: Callable[[Record, Path, Any], Iterable[Diagnostic]]  # (record, folder, backbone) → findings
    problems: Callable[[Keys, int | None], Iterable[Diagnostic]]  # (options, longest) → findings
    measure: Callable[[Iterable[Any], Record, Path], Mapping[str, float]]
    """(raw inputs of a sample, record, folder) → statistics by name"""
    statistics: tuple[str, ...] = ()  # names of statistics that planning needs and a lock records
    doubts: Callable[[Record, Mapping[str, float], Any], Iterable[Diagnostic]]
    """(record, statistics, longest) → warnings"""
    augmentation: Callable[[Keys], Frozen | None] = unchanged  # options → random changes of training inputs
    augments: tuple[str, ...] = ()  # names of the options that ask for such changes

    stored: Callable[[Record, Mapping[str, float]], int]  # bytes of a prepared row
    samples: Callable[[int, Record], list[Any]]
    """(seed, record) → golden inputs; graphs are traced with the first three, so none of these is of the shortest"""
    array: Callable[[str, Record], Record]  # dtype and shape of an input of the graph
    shortest: Callable[[Record], Mapping[str, np.ndarray]]  # arrays of one input, as short as any backbone can read
    assets: Callable[[Path], Mapping[str, Path]]  # files of the backbone that travel, by name
    beside: Callable[[Record], Mapping[str, str]] = nothing_beside
    """(record) → texts of further files of a checkpoint, by name"""
    portable: Callable[[Any], Any]  # a raw input as JSON
    asked: Callable[[Any], Any] = itself  # the raw input of a row → what a bundle is asked of it

    # of what people read
    shown: tuple[str, ...]  # fields of the record that a plan is shown with
    example: Callable[[Record], str]  # an input as Python code
    typed: Callable[[Record], str]  # the same as words of a shell's command line
    limits: Callable[[Record], str]  # what of an input is read and what is not, in a sentence
    packages: tuple[str, ...] = ()  # libraries that prepare it: their versions are part of keys in the store
