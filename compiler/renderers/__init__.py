"""Renderers of findings, one module per word of `--format`, and the functions that they share.

A renderer's `report(results, is_strict)` prints the findings of each spec. `results` is lazy: a spec is checked when
its result is taken, so a format that prints spec by spec does so while the rest is still unchecked.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from ...runtime.escapes import printable as printable
from ..diagnostics import At, Diagnostic, Row, Span, Status, escaped
from ..language.source import FLAGS, Source

STANDARD_INPUT = "<stdin>"  # its name in messages
LONGEST = 1000  # characters of a headline, note or help
# from best to worst; the worst of several specs decides
WORST = (Status.FINE, Status.WRONG, Status.USAGE, Status.MACHINE)


@dataclass(frozen=True)
class Checked:
    """The findings of one spec: `name` as the user wrote it, and `source` with its text, if it could be read."""

    name: str
    source: Source | None
    found: tuple[Diagnostic, ...]
    status: Status
    notes: tuple[str, ...] = ()  # parts of the spec that were not checked

    def file(self, span: Span) -> str | None:
        """The file in which a place is shown: for a flag, the spec that it changes; None for text from a pipe."""
        shown = self.name if flag(span, self.source) else span.file
        return None if shown in ("-", STANDARD_INPUT) else shown

    @property
    def errors(self) -> int:
        """The number of errors."""
        return sum(d.is_error for d in self.unique)

    @property
    def warnings(self) -> int:
        """The number of warnings."""
        return len(self.unique) - self.errors

    @cached_property
    def unique(self) -> list[Diagnostic]:
        """The findings without repetitions, in the order in which they are shown."""
        return in_order(self.found, self.source)


def exit_status(results: Sequence[Checked], is_strict: bool) -> Status:
    """The exit status for several specs; with `is_strict` a warning counts as wrong."""
    worst = max((checked.status for checked in results), key=WORST.index, default=Status.FINE)
    return Status.WRONG if worst == Status.FINE and is_failed_by_strict(results, is_strict) else worst


def is_failed_by_strict(results: Sequence[Checked], is_strict: bool) -> bool:
    """Whether `--strict` fails a spec that would otherwise pass."""
    return is_strict and any(checked.warnings and checked.status == Status.FINE for checked in results)


def summary(results: Sequence[Checked], is_strict: bool) -> str:
    """One line about all specs."""
    counts = (("error", sum(c.errors for c in results)), ("warning", sum(c.warnings for c in results)))
    found = ", ".join(counted(number, word) for word, number in counts if number) or "no errors"
    failed = "; --strict lets no warning pass" if is_failed_by_strict(results, is_strict) else ""
    return f"{found} in {counted(len(results), 'spec')}{failed}"


def counted(number: int, noun: str) -> str:
    """A number with its noun.

    >>> counted(1, "epoch"), counted(1200, "row")
    ('1 epoch', '1,200 rows')
    """
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def in_order(diagnostics: Iterable[Diagnostic], source: Source | None) -> list[Diagnostic]:
    """The diagnostics without repetitions: errors before warnings, then by place (the spec, flags, other files)."""
    unique = list(dict.fromkeys(_noted(diagnostic, source) for diagnostic in diagnostics))
    return sorted(unique, key=lambda d: (not d.is_error, *_place(d, source)))


def _noted(diagnostic: Diagnostic, source: Source | None) -> Diagnostic:
    """The diagnostic with notes on its file: the spec that extends it, and the migrations that it went through."""
    span = place(diagnostic.at, source)
    known = source.about(span.file) if source and span else ()
    notes = tuple(note for note in known if note not in diagnostic.notes)
    return replace(diagnostic, notes=(*diagnostic.notes, *notes)) if notes else diagnostic


def _place(diagnostic: Diagnostic, source: Source | None) -> tuple[str, int, int]:
    span = place(diagnostic.at, source)
    is_spec = span is None or source is None or span.file == source.file
    return ("" if is_spec or span is None else span.file, span.line, span.column) if span else ("", 0, 0)


def place(at: At | Span | Row | None, source: Source | None) -> Span | None:
    """The place of a diagnostic as a span of a file; line 0 is the whole file, width 0 a whole line."""
    if isinstance(at, Span):
        return at
    if isinstance(at, Row):
        return Span(str(source.folder / at.file) if source else at.file, at.number, 1, 0, at.label)
    if at is None or source is None:
        return None
    span = source.span(at.path, at.on_key)
    if span is None:
        return Span(source.file, 1, 1, 1, at.label)
    return Span(span.file, span.line, span.column, span.width, at.label)


def relative(file: str, root: str) -> str | None:
    """A file's path relative to a folder, with `/`; None for a file outside of it.

    >>> relative("specs/a.yaml", "."), relative("../a.yaml", ".")
    ('specs/a.yaml', None)
    """
    try:
        path = os.path.relpath(os.path.abspath(file), os.path.abspath(root))
    except ValueError:  # another drive
        return None
    return None if path.split(os.sep)[0] == os.pardir else path.replace(os.sep, "/")


def flag(span: Span, source: Source | None) -> str:
    """The text after `--set` if a span points into a flag, else ""."""
    is_flag = span.file == FLAGS and source is not None and 0 < span.line <= len(source.flags)
    return source.flags[span.line - 1] if source and is_flag else ""


def one_line(text: str) -> str:
    """Text for one line of a terminal: control characters escaped, at most LONGEST characters.

    Under GitHub Actions, old workflow commands such as `##[error]`, which act anywhere in a line, are broken up.
    """
    cut = text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
    cut = cut.replace("##[", "# #[") if os.environ.get("GITHUB_ACTIONS") == "true" else cut
    return escaped(cut)


def line_start(word: str) -> str:
    """A user's word as the start of a line: one that GitHub Actions would run as a command is written as a path.

    >>> line_start("a.yaml"), line_start("::stop-commands::x.yaml")
    ('a.yaml', './::stop-commands::x.yaml')
    """
    shown = one_line(word)
    return f"./{shown}" if shown.lstrip().startswith("::") else shown


def beside(name: str, floors: Mapping[str, Mapping[str, Any]]) -> str:
    """The text after a score: the same metric of each floor (untrained baseline); empty if no floor has it.

    >>> beside("accuracy", {"most frequent": {"accuracy": 0.2}, "words": {"accuracy": 0.75}})
    '; floors 0.2000 most frequent, 0.7500 words'
    """
    known = {floor: values.get(name) for floor, values in floors.items()}
    shown = ", ".join(f"{value:.4f} {one_line(floor)}" for floor, value in known.items() if isinstance(value, float))
    return f"; floors {shown}" if shown else ""


def kept_fit(training: Mapping[str, Any]) -> str:
    """The line for a training whose best state is the fitted heads before the first epoch; empty for any other.

    >>> kept_fit({"start": {"accuracy": 0.9}, "epochs": [{"accuracy": 0.8}], "best_epoch": 0})
    'no epoch was better than the fitted head, which is kept'
    """
    is_kept = training.get("start") and training["epochs"] and not training["best_epoch"]
    return "no epoch was better than the fitted head, which is kept" if is_kept else ""
