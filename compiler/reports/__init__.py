"""How findings are printed: one module per word of `--format`, and here what they share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from json import dumps

from ..diagnostics import At, Diagnostic, Row, Span
from ..language.source import Source

LONGEST = 1000  # characters of a headline, note or help


def in_order(diagnostics: Sequence[Diagnostic], source: Source | None) -> list[Diagnostic]:
    """Without repetitions; errors before warnings, then by place: the spec, flags, data files."""
    unique = list(dict.fromkeys(_noted(diagnostic, source) for diagnostic in diagnostics))
    return sorted(unique, key=lambda d: (not d.is_error, *_place(d, source)))


def _noted(diagnostic: Diagnostic, source: Source | None) -> Diagnostic:
    """With what one must know of its place: which spec extends that file, and what was read as another version."""
    span = place(diagnostic.at, source)
    known = source.about(span.file) if source and span else ()
    notes = tuple(note for note in known if note not in diagnostic.notes)
    return replace(diagnostic, notes=(*diagnostic.notes, *notes)) if notes else diagnostic


def _place(diagnostic: Diagnostic, source: Source | None) -> tuple[str, int, int]:
    span = place(diagnostic.at, source)
    is_spec = span is None or source is None or span.file == source.file
    return ("" if is_spec or span is None else span.file, span.line, span.column) if span else ("", 0, 0)


def place(at: At | Span | Row | None, source: Source | None) -> Span | None:
    """Where a diagnostic points, as a span of a file."""
    if isinstance(at, Span):
        return at
    if isinstance(at, Row):
        return Span(str(source.folder / at.file) if source else at.file, at.number, 1)
    if at is None or source is None:
        return None
    span = source.span(at.path, at.on_key)
    if span is None:
        return Span(source.file, 1, 1, 1, at.label)
    return Span(span.file, span.line, span.column, span.width, at.label)


def printable(text: str) -> str:
    """JSON text in which whatever could rewrite a terminal stands as an escape.

    >>> printable('"\\u202e"') == '"' + chr(92) + 'u202e"'
    True
    """
    return "".join(c if c.isprintable() or c == "\n" else dumps(c)[1:-1] for c in text)


def one_line(text: str) -> str:
    """Text for a terminal: line breaks and control characters stand as escapes, and it ends somewhere."""
    cut = text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in cut)
