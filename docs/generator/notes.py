"""Notes written by hand, which generated pages take in: a Markdown file with a heading for each key or variant."""

from __future__ import annotations

import re
from pathlib import Path


class Notes:
    """The notes of a file by their heading; each is meant to be asked for once."""

    def __init__(self, file: Path) -> None:
        parts = re.split(r"^## (.+)\n", file.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
        self._texts = dict(zip(parts[::2], (text.strip() for text in parts[1::2]), strict=True))
        self._asked: set[str] = set()

    def of(self, name: str) -> str:
        """The note of a name with a blank line before it, empty where there is none."""
        self._asked.add(name)
        return f"\n\n{self._texts[name]}" if name in self._texts else ""

    def unused(self) -> list[str]:
        """Headings that no page asked for."""
        return sorted(self._texts.keys() - self._asked)
