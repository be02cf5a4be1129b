"""Handwritten notes for generated pages: a Markdown file with one heading per key or variant."""

from __future__ import annotations

import re
from pathlib import Path


class Notes:
    """The notes of a file by heading; each note is expected to be used once."""

    def __init__(self, file: Path) -> None:
        parts = re.split(r"^## (.+)\n", file.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
        self._texts = dict(zip(parts[::2], (text.strip() for text in parts[1::2]), strict=True))
        self._asked: set[str] = set()

    def of(self, name: str) -> str:
        """The note under a heading, after a blank line; empty if there is none."""
        self._asked.add(name)
        return f"\n\n{self._texts[name]}" if name in self._texts else ""

    def unused(self) -> list[str]:
        """The headings that no page used."""
        return sorted(self._texts.keys() - self._asked)
