"""Findings as workflow commands of GitHub Actions, which annotate a pull request."""

from __future__ import annotations

import os
from collections.abc import Iterable

from ..contracts.renderer import Renderer
from ..diagnostics import Diagnostic
from . import Checked, flag, one_line, place, relative, summary

MARKS = (("%", "%25"), ("\r", "%0D"), ("\n", "%0A"))  # % first, because the escapes contain it
PROPERTY_MARKS = (*MARKS, (":", "%3A"), (",", "%2C"))


def report(results: Iterable[Checked], is_strict: bool) -> None:
    """Prints one line per finding as soon as its spec is checked, and a last line about all specs."""
    every = []
    for checked in results:
        every.append(checked)
        for found in checked.unique:
            print(_annotation(found, checked), flush=True)
        for note in checked.notes:
            print(_notice(note, checked), flush=True)
    print(summary(every, is_strict))


def _notice(note: str, checked: Checked) -> str:
    file = "" if checked.name == "-" else f" file={_escaped(_path(checked.name), PROPERTY_MARKS)}"
    return f"::notice{file}::{_escaped(one_line(note), MARKS)}"


def _annotation(found: Diagnostic, checked: Checked) -> str:
    kind = "error" if found.is_error else "warning"
    properties = ",".join(f"{key}={_escaped(value, PROPERTY_MARKS)}" for key, value in _properties(found, checked))
    return f"::{kind} {properties}::{_escaped(_message(found, checked), MARKS)}"


def _properties(found: Diagnostic, checked: Checked) -> list[tuple[str, str]]:
    span = place(found.at, checked.source)
    title = ("title", found.code)
    file = checked.file(span) if span else None
    if span is None or file is None:
        return [title]
    if flag(span, checked.source):
        return [("file", _path(file)), title]
    properties = [("file", _path(file))]
    if span.line:
        properties += [("line", str(span.line)), ("endLine", str(span.line))]
    if span.line and span.width:  # endColumn is inclusive
        properties += [("col", str(span.column)), ("endColumn", str(span.column + span.width - 1))]
    return [*properties, title]


def _path(file: str) -> str:
    """The path relative to the checked-out repository, as annotations need it."""
    return relative(file, os.environ.get("GITHUB_WORKSPACE") or os.curdir) or file


def _message(found: Diagnostic, checked: Checked) -> str:
    """The text of a finding without quoted lines, one part per line."""
    span = place(found.at, checked.source)
    written = flag(span, checked.source) if span else ""
    label = f": {span.label}" if span and span.label else ""
    lines = [f"{found.headline}{label}", *([f"in --set {written}"] if written else [])]
    for other in filter(None, (place(at, checked.source) for at in found.also)):
        line = f":{other.line}" if other.line else ""  # 0: the whole file
        lines.append(f"{other.file}{line}" + (f": {other.label}" if other.label else ""))
    lines += [f"note: {note}" for note in found.notes] + ([f"help: {found.help}"] if found.help else [])
    return "\n".join(one_line(part) for line in lines for part in line.split("\n"))


def _escaped(text: str, marks: tuple[tuple[str, str], ...]) -> str:
    for mark, escape in marks:
        text = text.replace(mark, escape)
    return text


RENDERER = Renderer(report=report)
