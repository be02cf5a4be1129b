"""Statistics of rows of prompts and completions, and their findings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Self

from ..contracts.targets import Place
from ..diagnostics import At, Diagnostic, Row
from ..facts.rows import Unusable
from . import _scores


class Tally(_scores.Tally):
    """Counts rows, and those whose prompt ends in a space before a completion."""

    def __init__(self, columns: Mapping[str, tuple[str, ...]], options: Any = None) -> None:
        super().__init__(columns, options)
        self.spaced = 0
        self.first_spaced: Place | None = None
        self.prompt = columns["prompt"][0] if {"prompt", "completion"} <= columns.keys() else None

    def add(self, values: Mapping[str, Any], place: Place) -> Unusable | None:
        """Counts one row; returns why its target is unusable, or None."""
        if self.prompt is not None and str(values.get(self.prompt) or "").endswith(" "):
            self.spaced += 1
            self.first_spaced = self.first_spaced or place
        return super().add(values, place)

    def record(self) -> dict[str, Any]:
        """The counts as data for a lock, which `recall` reads."""
        return {**super().record(), "spaced": self.spaced}

    @classmethod
    def recall(cls, columns: Mapping[str, tuple[str, ...]], record: Mapping[str, Any], place: Place) -> Self:
        """The tally that gave `record`, as if the rows had been read; every row is then at `place`.

        Raises ValueError, KeyError or TypeError for a record that no rows give.
        """
        tally = super().recall(columns, record, place)
        tally.spaced = int(record["spaced"])
        tally.first_spaced = place if tally.spaced else None
        return tally


def spaced(tallies: Mapping[str, Tally]) -> Iterator[Diagnostic]:
    """Warnings for prompts that end in a space, one for each split, at the first such row."""
    for name, tally in tallies.items():
        if tally.first_spaced is None:
            continue
        headline = f"{tally.spaced:,} of {tally.rows:,} prompts in the {name} data end in a space"
        note = "alone, such a prompt is cut into other tokens than with its completion, so it is asked otherwise"
        help = "write the space at the beginning of the completion"
        yield Diagnostic("W0321", headline, Row(*tally.first_spaced), (At(("data", name)),), (note,), help)
