"""The record of the scores of a kind of task."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .reading import Record


def always_defined(name: str, tally: Any, record: Record) -> bool:
    """A score has a value whatever the rows are."""
    return True


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """`metrics/<kind>.py` has METRICS: scores of outputs (rows, …) against examples; None is a score that is undefined.

    `outputs` are arrays by name, `examples` the rows' targets, references and inputs.
    """

    names: Callable[[bool], tuple[str, ...]]  # (whether rows have several labels), the default first
    direction: Callable[[str], int]  # 1 where higher is better, -1 where lower is
    one: Callable[[str, Record, Mapping[str, Any], Any], float | None]  # (name, record, outputs, examples)
    report: Callable[[Record, Mapping[str, Any], Any], Record]  # every metric
    calibrate: Callable[[Record, Mapping[str, Any], Any], Record]  # what replaces fields of the record
    is_defined: Callable[[str, Any, Record], bool] = always_defined
    """(name, tally of validation rows, the head's record, empty where its options or rows are wrong)"""
    answered: Callable[..., Mapping[str, Any]] | None = None  # how often each label is the answer, and is true
