"""Findings for people: headline, place, quoted lines with marks, notes and help."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ..contracts.renderer import Renderer
from ..diagnostics import Diagnostic, Span
from ..language.source import Source
from . import Checked, counted, in_order, line_start, one_line, place, summary
from ._terminal import Terminal, columns, terminal_of

MOST = 10
COLOURS = {"error": "red", "warning": "yellow"}
AROUND = "blue"  # the colour of the frame around quoted lines


def report(results: Iterable[Checked], is_strict: bool) -> None:
    """Prints each spec's findings on stderr once they are known; on stdout the specs that are fine, and a last line."""
    every = []
    for checked in results:
        every.append(checked)
        if checked.found:
            print(text(checked.found, checked.source) + "\n", file=sys.stderr, flush=True)
        if not checked.errors:
            found = f" ({counted(checked.warnings, 'warning')})" if checked.warnings else ""
            print(f"{line_start(checked.name)}: fine{found}", flush=True)
        for note in checked.notes:
            print(f"  = note: {one_line(note)}", flush=True)
    if len(every) != 1 or every[0].errors or (is_strict and every[0].warnings):
        print(summary(every, is_strict))


def text(diagnostics: Sequence[Diagnostic], source: Source | None = None, terminal: Terminal | None = None) -> str:
    """All diagnostics as text: errors first, in file order, at most ten.

    Without `terminal`, the text fits stderr.
    """
    ordered = in_order(diagnostics, source)
    terminal = terminal or terminal_of(sys.stderr)
    shown = [_Shown(d, source, terminal).text() for d in ordered[:MOST]]
    if len(ordered) > MOST:
        shown.append(f"... and {len(ordered) - MOST} more")
    return "\n\n".join(shown)


@dataclass(frozen=True)
class _Mark:
    """A span with the character that underlines it."""

    span: Span
    sign: str
    colour: str


@dataclass(frozen=True)
class _Shown:
    """One diagnostic and the terminal that it is printed on."""

    diagnostic: Diagnostic
    source: Source | None
    terminal: Terminal

    def text(self) -> str:
        """All lines of the diagnostic."""
        found = self.diagnostic
        kind = "error" if found.is_error else "warning"
        files = self._by_file(COLOURS[kind])
        gutter = self._gutter(files)
        headline = self.terminal.style(f": {one_line(found.headline)}")
        lines = [self.terminal.style(f"{kind}[{found.code}]", COLOURS[kind]) + headline]
        for number, marks in enumerate(files):
            lines += [self._around(f"{gutter} |")] if len(lines) > 2 else []
            lines += self._file(marks, gutter, is_first=number == 0)
        extra = [("note", note) for note in found.notes] + ([("help", found.help)] if found.help else [])
        if extra and len(lines) > 2:
            lines.append(self._around(f"{gutter} |"))
        return "\n".join([*lines, *(self._extra(word, said, gutter) for word, said in extra)])

    def _gutter(self, files: list[list[_Mark]]) -> str:
        """Spaces, as many as the largest shown line number has digits."""
        numbers = [mark.span.line for marks in files for mark in marks if mark.sign == "^" or self._quoted([mark])]
        return " " * len(str(max(numbers))) if numbers else ""

    def _by_file(self, colour: str) -> list[list[_Mark]]:
        """The marks by file, the primary mark's file first; sorted by line within a file."""
        primary = place(self.diagnostic.at, self.source)
        if primary is None:
            return []
        others = [span for at in self.diagnostic.also if (span := place(at, self.source))]
        marks = [_Mark(primary, "^", colour), *(_Mark(span, "-", AROUND) for span in others)]
        files = dict.fromkeys(mark.span.file for mark in marks)
        groups = [[mark for mark in marks if mark.span.file == file] for file in files]
        return [sorted(group, key=lambda m: (m.span.line, m.span.column)) for group in groups]

    def _file(self, marks: list[_Mark], gutter: str, is_first: bool) -> list[str]:
        """The marks of one file: a heading and the marked lines, or headings alone where no line can be quoted."""
        quoted = self._quoted(marks)
        first = next((mark for mark in marks if mark.sign == "^"), marks[0])
        bare = [mark for mark in marks if mark not in quoted and mark is not first]
        lines = [self._heading(first, "-->" if is_first else ":::", gutter, has_label=first not in quoted)]
        if quoted:
            lines += [self._around(f"{gutter} |"), *self._quotes(quoted, gutter)]
        return lines + [self._heading(mark, ":::", gutter, has_label=True) for mark in bare]

    def _heading(self, mark: _Mark, arrow: str, gutter: str, has_label: bool) -> str:
        span = mark.span
        where = f":{span.line}" if span.line else ""
        column = f":{span.column}" if span.line and span.width else ""
        label = f"  {one_line(span.label)}" if has_label and span.label else ""
        return f"{self._around(gutter + arrow)} {one_line(span.file)}{where}{column}{label}"

    def _quoted(self, marks: list[_Mark]) -> list[_Mark]:
        """The marks whose line is known."""
        count = len(self.source.lines(marks[0].span.file)) if self.source else 0
        return [mark for mark in marks if 0 < mark.span.line <= count]

    def _quotes(self, marks: list[_Mark], gutter: str) -> Iterator[str]:
        assert self.source is not None
        texts, last, shift = self.source.lines(marks[0].span.file), 0, 0
        for mark in marks:
            span, line = mark.span, texts[mark.span.line - 1]
            room = self.terminal.quotable(len(gutter), line)
            if last and span.line > last + 1:
                yield "..."
            if span.line != last:
                last, shift = span.line, _shift(span, line, room)
                yield (self._around(f"{span.line:>{len(gutter)}} |") + f" {_window(line, shift, room)}").rstrip()
            if 0 <= span.column - 1 - shift < room:
                yield from self._marked(mark, line, shift, room, gutter)

    def _marked(self, mark: _Mark, line: str, shift: int, room: int, gutter: str) -> Iterator[str]:
        """The line of marks below a quoted line; on a narrow terminal, a long label goes below its mark."""
        span, frame = mark.span, self._around(f"{gutter} |")
        before = " " * columns(line[shift : span.column - 1])
        under = mark.sign * max(1, columns(line[span.column - 1 : min(span.column - 1 + span.width, shift + room)]))
        label, signs = one_line(span.label), self.terminal.style(under, mark.colour)
        if self.terminal.width is None or columns(before + under) + 1 + columns(label) <= room:
            yield f"{frame} {before}{signs} {self.terminal.style(label, mark.colour)}".rstrip()
            return
        indent = before[: room // 2]
        yield f"{frame} {before}{signs}"
        wrapped = Terminal(room).wrapped(label, indent, indent)
        yield from (f"{frame} {self.terminal.style(part, mark.colour)}" for part in wrapped.split("\n"))

    def _extra(self, word: str, said: str, gutter: str) -> str:
        """A note or the help, with its own line breaks kept."""
        rest = f"{gutter}   "
        parts = [one_line(part) for part in said.split("\n")]
        start = f"{self._around(f'{gutter} =')} {self.terminal.style(word + ':')} "
        width = len(gutter) + len(word) + 5
        lines = [self.terminal.wrapped(parts[0], " " * width, rest)[width:]]
        lines += [self.terminal.wrapped(part, rest, rest) for part in parts[1:]]
        return start + "\n".join(lines)

    def _around(self, frame: str) -> str:
        return self.terminal.style(frame, AROUND)


def _shift(span: Span, line: str, room: int) -> int:
    """The number of characters cut from the left of a long line so that the mark is visible."""
    return max(0, min(span.column - room // 2, len(line) - room)) if span.column > room // 2 else 0


def _window(line: str, shift: int, room: int) -> str:
    """A part of a line, with `…` where it is cut; every character stays one character."""
    shown = "".join(c if c.isprintable() else " " if c == "\t" else "�" for c in line[shift : shift + room])
    shown = "…" + shown[1:] if shift else shown
    return shown[:-1] + "…" if len(line) > shift + room else shown


RENDERER = Renderer(report=report)
