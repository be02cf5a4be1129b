"""The record of a modality on the compiling side: its keys under `data`, and its part of the plan."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ..frozen import Frozen
from .reading import Record, RowReader

if TYPE_CHECKING:
    from ..decision import Decided
    from ..diagnostics import Diagnostic

Keys = TypeVar("Keys", bound=Frozen)  # a model of the keys that a spec may write


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
    arrays: tuple[str, ...]  # names of the arrays of a batch; the backbone's inputs are among them
    reader: RowReader

    preprocessing: Callable[..., Record]  # (folder, config.json, options, longest, columns, usual) → record
    decided: Callable[..., Mapping[str, Decided[Any]]]
    """(options, record, longest, usual) → values left open by the spec, with reasons"""
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

    stored: Callable[[Record, Mapping[str, float]], int]  # (record, statistics) → bytes of a prepared row
    samples: Callable[[int, Record], list[Any]]  # (seed text, record) → golden inputs
    array: Callable[[str, Record], Record]  # (name, record) → dtype and shape of that input of the graph
    assets: Callable[[Path], Mapping[str, Path]]  # backbone's folder → files copied into the bundle, by name
    portable: Callable[[Any], Any]  # a raw input → JSON

    # for the card and the wrapper
    example: Callable[[Record], str]  # record → an example input as Python code
    limits: Callable[[Record], str]  # record → a sentence on which part of an input is read
    packages: tuple[str, ...] = ()  # libraries whose versions are part of stage keys
