"""The record of the scores of a kind of task."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .reading import Columns, Record
from .targets import Summary


def always_defined(name: str, summary: Summary, record: Record) -> bool:
    """A score has a value whatever the rows are."""
    return True


def nothing_calibrated(record: Record, outputs: Mapping[str, Any], examples: Any) -> dict[str, Any]:
    """Nothing is left to decide after training."""
    return {}


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Metrics:
    """`metrics/<kind>.py` has METRICS: scores of outputs (rows, …) against examples; None is a score that is undefined.

    `outputs` are arrays by name, `examples` the rows' targets, references and inputs.
    """

    names: Callable[[Columns], tuple[str, ...]]  # that a spec may name for such columns, the default first
    direction: Callable[[str], int]  # 1 where higher is better, -1 where lower is
    one: Callable[[str, Record, Mapping[str, Any], Any], float | None]  # (name, record, outputs, examples)
    report: Callable[[Record, Mapping[str, Any], Any], Record]  # every metric
    calibrate: Callable[[Record, Mapping[str, Any], Any], Record] = nothing_calibrated
    """what validation decides after training: replaces fields of the record"""
    is_defined: Callable[[str, Summary, Record], bool] = always_defined
    """(name, what is known of validation rows, the head's record, empty where its options or rows are wrong)"""
    answered: Callable[[Record, Mapping[str, Any], Any], Mapping[str, tuple[int, int]]] | None = None
    """label → how often it is the answer, and how often it is true"""
