"""Renders diagnostics: text for people, JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from .diagnostics import At, Diagnostic, Row, Span
from .source import Source

MOST = 10
WIDEST = 160


def text(diagnostics: Sequence[Diagnostic], source: Source | None = None) -> str:
    """Every diagnostic as people read it: errors first, in file order, at most ten of a kind."""
    ordered = in_order(diagnostics, source)
    shown = [_one(d, source) for d in ordered[:MOST]]
    if len(ordered) > MOST:
        shown.append(f"... and {len(ordered) - MOST} more")
    return "\n\n".join(shown)


def in_order(diagnostics: Sequence[Diagnostic], source: Source | None) -> list[Diagnostic]:
    """Without repetitions; errors before warnings, then by place."""
    unique = list(dict.fromkeys(diagnostics))
    return sorted(unique, key=lambda d: (not d.is_error, *_place(d, source)))


def _place(diagnostic: Diagnostic, source: Source | None) -> tuple[str, int, int]:
    span = place(diagnostic.at, source)
    return (span.file if isinstance(diagnostic.at, Row) else "", span.line, span.column) if span else ("", 0, 0)


def place(at: At | Span | Row | None, source: Source | None) -> Span | None:
    """Where a diagnostic points, as a span of a file."""
    if isinstance(at, Span):
        return at
    if isinstance(at, Row):
        return Span(at.file, at.number, 1)
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


def as_json(diagnostics: Sequence[Diagnostic], source: Source | None) -> str:
    """All of them as a JSON list."""
    return json.dumps([plain(d, source) for d in in_order(diagnostics, source)], indent=2, ensure_ascii=False)


def _one(diagnostic: Diagnostic, source: Source | None) -> str:
    kind = "error" if diagnostic.is_error else "warning"
    lines = [f"{kind}[{diagnostic.code}]: {_safe(diagnostic.headline)}"]
    primary = place(diagnostic.at, source)
    others = [span for at in diagnostic.also if (span := place(at, source))]
    gutter = ""
    if primary:
        lines_shown = _quotes(primary, others, source)
        gutter = " " * len(str(max([primary.line, *(o.line for o in others)])))
        where = f":{primary.line}" if primary.line else ""
        column = f":{primary.column}" if not isinstance(diagnostic.at, Row) else ""
        lines.append(f"{gutter}--> {primary.file}{where}{column}")
        lines += lines_shown
    extra = [f"note: {note}" for note in diagnostic.notes] + ([f"help: {diagnostic.help}"] if diagnostic.help else [])
    if extra and primary and len(lines) > 2:
        lines.append(f"{gutter} |")
    lines += [f"{gutter} = " + _safe(line).replace("\n", f"\n{gutter}   ") for line in extra]
    return "\n".join(lines)


def _quotes(primary: Span, others: list[Span], source: Source | None) -> list[str]:
    if source is None or not source.text:
        return []
    wanted = [(span, "^") for span in [primary] if span.file == source.file] + [
        (s, "-") for s in others if s.file == source.file
    ]
    if not wanted or not primary.line or primary.file != source.file:
        return []
    text = source.text.splitlines()
    width = len(str(max(span.line for span, _ in wanted)))
    lines, last = [" " * width + " |"], 0
    for span, mark in sorted(wanted, key=lambda item: (item[0].line, item[0].column)):
        if last and span.line > last + 1:
            lines.append("...")
        if span.line != last and span.line <= len(text):
            lines.append(f"{span.line:>{width}} | {_cut(text[span.line - 1])}")
        last = span.line
        if span.column <= WIDEST:
            lines.append(
                f"{' ' * width} | {' ' * (span.column - 1)}{mark * min(span.width, WIDEST)} {_safe(span.label)}".rstrip()
            )
    return lines


def _cut(line: str) -> str:
    line = _safe(line.replace("\t", " "))
    return line if len(line) <= WIDEST else line[: WIDEST - 1] + "…"


def _safe(text: str) -> str:
    """Without control characters, which could rewrite a terminal."""
    return "".join(c if c.isprintable() or c == "\n" else "�" for c in text)
