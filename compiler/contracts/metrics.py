"""The record of the metrics of a kind of task."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .reading import Columns, Record
from .targets import Summary


def always_defined(name: str, summary: Summary, record: Record) -> bool:
    """The default of `Metrics.is_defined`: each metric has a value on any rows."""
    return True


def nothing_calibrated(record: Record, outputs: Mapping[str, Any], examples: Any) -> dict[str, Any]:
    """The default of `Metrics.calibrate`: no field of the record is decided after training."""
    return {}


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Metrics:
    """The record of the metrics of a kind of task; `metrics/<kind>.py` has it as METRICS.

    `outputs` are arrays (rows, …) by name, `examples` the rows' targets, references and inputs, and `record` is the
    head's. The module says which outputs and which fields of the record it reads. A score of None is undefined.
    """

    names: Callable[[Columns], tuple[str, ...]]  # columns → names that a spec may use, the default first
    direction: Callable[[str], int]  # name → 1 where higher is better, -1 where lower is
    one: Callable[[str, Record, Mapping[str, Any], Any], float | None]  # (name, record, outputs, examples) → score
    report: Callable[[Record, Mapping[str, Any], Any], Record]  # (record, outputs, examples) → every metric by name
    calibrate: Callable[[Record, Mapping[str, Any], Any], Record] = nothing_calibrated
    """(record, outputs, examples of validation) → fields of the record to replace after training, such as thresholds"""
    relative: frozenset[str] = frozenset()  # names of metrics whose drop a gate takes as a share of the score
    is_defined: Callable[[str, Summary, Record], bool] = always_defined
    """(name, summary of the validation rows, record) → whether the metric has a value; the record may be empty, where
    options or rows are wrong"""
    of_texts: tuple[str, ...] = ()  # names of those that compare texts which a decoder writes with references
    answered: Callable[[Record, Mapping[str, Any], Any], Mapping[str, tuple[int, int]]] | None = None
    """label → (how often it is answered, how often it is true)"""
