"""Renders diagnostics: text for people, JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from unicodedata import combining, east_asian_width

from .diagnostics import At, Diagnostic, Row, Span
from .source import Source

MOST = 10
WIDEST = 160  # characters of a quoted line
LONGEST = 1000  # characters of a headline, note or help


def text(diagnostics: Sequence[Diagnostic], source: Source | None = None) -> str:
    """Every diagnostic as people read it: errors first, in file order, at most ten of a kind."""
    ordered = in_order(diagnostics, source)
    shown = [_one(d, source) for d in ordered[:MOST]]
    if len(ordered) > MOST:
        shown.append(f"... and {len(ordered) - MOST} more")
    return "\n\n".join(shown)


def in_order(diagnostics: Sequence[Diagnostic], source: Source | None) -> list[Diagnostic]:
    """Without repetitions; errors before warnings, then by place: the spec, flags, data files."""
    unique = list(dict.fromkeys(diagnostics))
    return sorted(unique, key=lambda d: (not d.is_error, *_place(d, source)))


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


def plain(diagnostic: Diagnostic, source: Source | None) -> dict[str, Any]:
    """A diagnostic as JSON."""
    span = place(diagnostic.at, source)
    return {
        "code": diagnostic.code, "severity": "error" if diagnostic.is_error else "warning", "message": diagnostic.headline,
        "file": span.file if span else None, "line": span.line if span else None, "column": span.column if span else None,
        "label": span.label if span else "", "notes": list(diagnostic.notes), "help": diagnostic.help,
    }  # fmt: skip


def as_json(findings: Sequence[tuple[Diagnostic, Source | None]]) -> str:
    """All of them as a JSON list, in the order given."""
    listing = [plain(diagnostic, source) for diagnostic, source in findings]
    return printable(json.dumps(listing, indent=2, ensure_ascii=False))


def printable(text: str) -> str:
    """JSON text in which whatever could rewrite a terminal stands as an escape.

    >>> printable('"\\u202e"') == '"' + chr(92) + 'u202e"'
    True
    """
    return "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)


def one_line(text: str) -> str:
    """Text for a terminal: line breaks and control characters stand as escapes, and it ends somewhere."""
    cut = text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in cut)


def _one(diagnostic: Diagnostic, source: Source | None) -> str:
    kind = "error" if diagnostic.is_error else "warning"
    lines = [f"{kind}[{diagnostic.code}]: {one_line(diagnostic.headline)}"]
    primary = place(diagnostic.at, source)
    gutter = ""
    if primary:
        quoted = _quoted(primary, diagnostic, source)
        gutter = " " * len(str(max([primary.line, *(span.line for span, _ in quoted)])))
        where = f":{primary.line}" if primary.line else ""
        column = f":{primary.column}" if not isinstance(diagnostic.at, Row) else ""
        lines.append(f"{gutter}--> {one_line(primary.file)}{where}{column}")
        lines += _quotes(quoted, len(gutter), source)
    extra = [f"note: {note}" for note in diagnostic.notes] + ([f"help: {diagnostic.help}"] if diagnostic.help else [])
    if extra and len(lines) > 2:
        lines.append(f"{gutter} |")
    lines += [f"{gutter} = " + f"\n{gutter}   ".join(map(one_line, line.split("\n"))) for line in extra]
    return "\n".join(lines)


def _quoted(primary: Span, diagnostic: Diagnostic, source: Source | None) -> list[tuple[Span, str]]:
    """The spans to show, all of the file that the primary one is in, with their marks."""
    if source is None or not 0 < primary.line <= len(source.lines(primary.file)):
        return []
    others = [span for at in diagnostic.also if (span := place(at, source)) and span.file == primary.file]
    return sorted([(primary, "^"), *((span, "-") for span in others)], key=lambda item: (item[0].line, item[0].column))


def _quotes(quoted: list[tuple[Span, str]], width: int, source: Source | None) -> list[str]:
    if source is None or not quoted:
        return []
    texts = source.lines(quoted[0][0].file)
    lines, last, shift = [" " * width + " |"], 0, 0
    for span, mark in quoted:
        if last and span.line > last + 1:
            lines.append("...")
        line = texts[span.line - 1]
        if span.line != last:
            last = span.line
            shift = max(0, min(span.column - WIDEST // 2, len(line) - WIDEST)) if span.column > WIDEST // 2 else 0
            lines.append(f"{span.line:>{width}} | {_window(line, shift)}".rstrip())
        if span.column - shift <= WIDEST:
            before = _columns(line[shift : span.column - 1])
            under = _columns(line[span.column - 1 : min(span.column - 1 + span.width, shift + WIDEST)])
            lines.append(f"{' ' * width} | {' ' * before}{mark * max(1, under)} {one_line(span.label)}".rstrip())
    return lines


def _window(line: str, shift: int) -> str:
    """WIDEST characters of a line, `…` where some are left out; one character stays one."""
    shown = "".join(c if c.isprintable() else " " if c == "\t" else "�" for c in line[shift : shift + WIDEST])
    shown = "…" + shown[1:] if shift else shown
    return shown[:-1] + "…" if len(line) > shift + WIDEST else shown


def _columns(text: str) -> int:
    """How many columns of a terminal a text takes."""
    return sum(0 if combining(c) else 2 if east_asian_width(c) in "WF" else 1 for c in text)
