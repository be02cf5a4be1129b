"""Removes values of data files from findings where `--confine` is given, so that only specs are quoted."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from ..diagnostics import At, Diagnostic, Row, Span
from ..diagnostics.pages import codes, headline
from ..language.source import Source

# codes whose findings quote only specs, names of files and counts; cells appear by type and length
WHOLE = re.compile(
    "E01.*|E02(?!12).*|E03(01|03|07|08|09|1[0-1]|13|16|17|19|20|21|40|49|5[0-3]|6[0-5]|71|8[0-1]|9[0-2]|96|97)"
    "|E04(?!30).*|E05(01|50|51|70)|W03(0.|1[0-2]|1[4-8]|2[01]|30|51|84|90|91)|W04(3[5-9]|4[0-24-7])"
)
HEADLINE = re.compile("E0312")  # codes whose headline quotes only the spec
WAY = "`graftc validate` without --confine says what it is, where that may be read"


def redacted(found: Iterable[Diagnostic], source: Source) -> tuple[Diagnostic, ...]:
    """Findings unchanged, or, with a boundary, without text of files other than specs.

    Codes that are not listed as safe are reduced to their place and the headline of their page.
    """
    return tuple(_redacted(each, source) if source.boundary.is_closed else each for each in found)


def _redacted(found: Diagnostic, source: Source) -> Diagnostic:
    if WHOLE.fullmatch(found.code) and not _is_foreign(found.at, source):
        return found
    said = found.headline if HEADLINE.fullmatch(found.code) or found.code not in codes() else _said(found.code)
    at = _bare(found.at) if found.at else None
    return Diagnostic(found.code, said, at, tuple(map(_bare, found.also)), help=WAY)


def _is_foreign(at: At | Row | Span | None, source: Source) -> bool:
    """Whether a place is in a file that is no spec."""
    return isinstance(at, Span) and not source.lines(at.file)


def _said(code: str) -> str:
    text = headline(code)
    return text[0].lower() + text[1:] if text[1:2].islower() else text


def _bare(at: At | Row | Span) -> At | Row | Span:
    return replace(at, label="")
