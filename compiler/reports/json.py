"""Findings as JSON, for programs."""

from __future__ import annotations

from collections.abc import Sequence
from json import dumps
from typing import Any

from ..diagnostics import Diagnostic
from ..language.source import Source
from . import place, printable


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
    return printable(dumps(listing, indent=2, ensure_ascii=False))
