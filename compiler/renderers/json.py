"""Findings as JSON, for programs: an object with `findings` and a `summary`, described in docs/guides/ci.md."""

from __future__ import annotations

from collections.abc import Iterable
from json import dumps
from typing import Any

from ..contracts.renderer import Renderer
from ..diagnostics import Diagnostic, Span
from . import Checked, exit_status, place, printable

FORMAT = 1  # raised when a key is removed or changes its meaning, not when one is added


def report(results: Iterable[Checked], is_strict: bool) -> None:
    """Prints one JSON object about all specs."""
    every = list(results)
    document: dict[str, Any] = {
        "format": FORMAT,
        "findings": [_finding(found, checked) for checked in every for found in checked.unique],
        "summary": {
            "specs": len(every),
            "errors": sum(c.errors for c in every),
            "warnings": sum(c.warnings for c in every),
            "strict": is_strict,
            "status": int(exit_status(every, is_strict)),
        },
    }
    if notes := [{"spec": checked.name, "message": note} for checked in every for note in checked.notes]:
        document["notes"] = notes
    print(printable(dumps(document, indent=2, ensure_ascii=False)))


def _finding(found: Diagnostic, checked: Checked) -> dict[str, Any]:
    related = [span for at in found.also if (span := place(at, checked.source))]
    return {
        "code": found.code,
        "severity": "error" if found.is_error else "warning",
        "message": found.headline,
        "spec": checked.name,
        **_placed(place(found.at, checked.source)),
        "related": [_placed(span) for span in related],
        "notes": list(found.notes),
        "help": found.help,
    }


def _placed(span: Span | None) -> dict[str, Any]:
    """A place: lines and columns count from 1, the end column is exclusive, and unknown parts are null."""
    line = span.line or None if span else None
    is_marked = span is not None and line is not None and span.width > 0
    return {
        "file": span.file if span else None,
        "line": line,
        "column": span.column if span and is_marked else None,
        "endLine": line,
        "endColumn": span.column + span.width if span and is_marked else None,
        "label": span.label if span else "",
    }


RENDERER = Renderer(report=report)
