"""Findings as people read them: headline, place, the lines with marks, notes and a way out."""

from __future__ import annotations

from collections.abc import Sequence
from unicodedata import combining, east_asian_width

from ..diagnostics import Diagnostic, Row, Span
from ..language.source import Source
from . import in_order, one_line, place

MOST = 10
WIDEST = 160  # characters of a quoted line


def text(diagnostics: Sequence[Diagnostic], source: Source | None = None) -> str:
    """Every diagnostic as people read it: errors first, in file order, at most ten of a kind."""
    ordered = in_order(diagnostics, source)
    shown = [_one(d, source) for d in ordered[:MOST]]
    if len(ordered) > MOST:
        shown.append(f"... and {len(ordered) - MOST} more")
    return "\n\n".join(shown)


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
