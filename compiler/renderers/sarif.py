"""Findings as SARIF 2.1.0, the format of code scanning services."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable
from importlib.metadata import version
from json import dumps
from pathlib import Path
from typing import Any

from ..contracts.renderer import Renderer
from ..diagnostics import At, Diagnostic, Span
from ..diagnostics.pages import codes, headline, page
from . import Checked, exit_status, flag, one_line, place, printable, relative

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
ROOT = "%SRCROOT%"
Json = dict[str, Any]


def report(results: Iterable[Checked], is_strict: bool) -> None:
    """Prints one SARIF log about all specs."""
    every = list(results)
    rules = sorted({found.code for checked in every for found in checked.unique})
    prints: Counter[str] = Counter()
    status = exit_status(every, is_strict)
    run = {
        "tool": {"driver": {"name": "graftc", "version": version("graftc"), "rules": list(map(_rule, rules))}},
        "invocations": [{"executionSuccessful": status <= 1, "exitCode": int(status), **_notes(every)}],
        "originalUriBaseIds": {ROOT: {"description": {"text": "the folder of the repository"}}},
        "columnKind": "unicodeCodePoints",
        "results": [_result(found, checked, rules, prints) for checked in every for found in checked.unique],
    }
    print(printable(dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2, ensure_ascii=False)))


def _notes(every: Iterable[Checked]) -> Json:
    """Notifications for the parts of each spec that were not checked; empty if there are none."""
    said = [f"{checked.name}: {note}" for checked in every for note in checked.notes]
    notes = [{"level": "note", "message": {"text": one_line(each)}} for each in said]
    return {"toolExecutionNotifications": notes} if notes else {}


def _rule(code: str) -> Json:
    """The SARIF rule of a code, with its page as `graftc explain` prints it."""
    rule: Json = {"id": code, "defaultConfiguration": {"level": "error" if code.startswith("E") else "warning"}}
    if code in codes():
        words = page(code).partition("\n")[2].partition("\n## ")[0].strip()
        rule |= {
            "shortDescription": {"text": headline(code)},
            "fullDescription": {"text": " ".join(words.split())},
            "help": {"text": f"graftc explain {code}", "markdown": page(code).rstrip()},
        }
    return rule


def _result(found: Diagnostic, checked: Checked, rules: list[str], prints: Counter[str]) -> Json:
    span = place(found.at, checked.source)
    related = [other for at in found.also if (other := place(at, checked.source))]
    result: Json = {
        "ruleId": found.code,
        "ruleIndex": rules.index(found.code),
        "level": "error" if found.is_error else "warning",
        "message": {"text": _message(found, span)},
        "partialFingerprints": _fingerprint(found, checked, prints),
    }
    if span:
        result["locations"] = [_location(span, checked)]
    if related:
        result["relatedLocations"] = [{"id": n, **_location(other, checked)} for n, other in enumerate(related, 1)]
    return result


def _message(found: Diagnostic, span: Span | None) -> str:
    label = f": {span.label}" if span and span.label else ""
    lines = [found.headline + label, *(f"note: {note}" for note in found.notes)]
    lines += [f"help: {found.help}"] if found.help else []
    return "\n".join(one_line(part) for line in lines for part in line.split("\n"))


def _location(span: Span, checked: Checked) -> Json:
    """The SARIF location of a place; a place in a flag becomes the spec that the flag changes, and the flag's name."""
    label = {"message": {"text": one_line(span.label)}} if span.label else {}
    written, file = flag(span, checked.source), checked.file(span)
    name = f"--set {written}" if written else "" if file else f"{span.file}:{span.line}"
    named = {"logicalLocations": [{"fullyQualifiedName": one_line(name)}]} if name else {}
    if file is None:
        return {**named, **label}
    region = {"startLine": span.line} if span.line and not written else {}
    if region and span.width:
        region |= {"startColumn": span.column, "endLine": span.line, "endColumn": span.column + span.width}
    physical = {"artifactLocation": _artifact(file)} | ({"region": region} if region else {})
    return {"physicalLocation": physical, **named, **label}


def _artifact(file: str) -> Json:
    inside = relative(file, os.environ.get("GITHUB_WORKSPACE") or os.curdir)
    if inside is None:
        return {"uri": Path(os.path.abspath(file)).as_uri()}
    return {"uri": quote_uri(inside), "uriBaseId": ROOT}


def quote_uri(path: str) -> str:
    """A relative path as a URI; a colon is escaped, or the part before it would be a scheme.

    >>> quote_uri("a b/c:d.yaml")
    'a%20b/c%3Ad.yaml'
    """
    from urllib.parse import quote

    return quote(path, errors="replace")


def _fingerprint(found: Diagnostic, checked: Checked, prints: Counter[str]) -> dict[str, str]:
    """A fingerprint that survives moved lines: it covers the key or the line's text, not the line's number.

    Its name is the one that GitHub's code scanning reads.
    """
    span = place(found.at, checked.source)
    where = [span.file if span else "", *map(str, found.at.path if isinstance(found.at, At) else ())]
    # a path of keys identifies a finding better than a line
    is_line = span is not None and not isinstance(found.at, At)
    lines = checked.source.lines(span.file) if span and is_line and checked.source else []
    if span and 0 < span.line <= len(lines):
        where.append(lines[span.line - 1].strip())
    digest = hashlib.sha256("\0".join([found.code, found.headline, *where]).encode("utf-8", "replace")).hexdigest()[:16]
    prints[digest] += 1
    return {"primaryLocationLineHash": f"{digest}:{prints[digest]}"}


RENDERER = Renderer(report=report)
