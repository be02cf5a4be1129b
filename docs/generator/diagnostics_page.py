"""The list of diagnostics, from the pages that `graftc explain` prints."""

from __future__ import annotations

from notes import Notes

from graftc.compiler.diagnostics.pages import RANGES, codes, headline, range_of

PAGES = "../../compiler/diagnostics/pages"


def page(notes: Notes) -> str:
    """One table for each range of codes."""
    parts = [f"# Diagnostics{notes.of('diagnostics page')}"]
    for start, meaning in RANGES.items():
        rows = [f"| [{code}]({PAGES}/{code}.md) | {headline(code)} |" for code in codes() if range_of(code) == start]
        if rows:
            parts.append("\n".join([f"## {start.ljust(5, 'x')}: {meaning}\n", "| code | |", "| --- | --- |", *rows]))
    return "\n\n".join(parts)
