"""Writes the generated pages of docs/reference/: `python docs/generator`; `--check` only compares them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import command_page
import diagnostics_page
import spec_page
import variant_pages
from notes import Notes

REFERENCE = Path(__file__).resolve().parents[1] / "reference"
MARK = "<!-- written by `python docs/generator`; do not edit -->\n\n"
PAGES: dict[str, Callable[[Notes], str]] = {
    "spec.md": spec_page.page,
    "heads.md": variant_pages.heads,
    "methods.md": variant_pages.methods,
    "objectives.md": variant_pages.objectives,
    "backbones.md": variant_pages.backbones,
    "formats.md": variant_pages.formats,
    "command-line.md": command_page.page,
    "diagnostics.md": diagnostics_page.page,
}


def main(words: list[str]) -> int:
    """Writes all pages, or with `--check` lists those that differ and returns 1 if there are any."""
    notes = Notes(Path(__file__).with_name("notes.md"))
    pages = {REFERENCE / name: MARK + make(notes).rstrip() + "\n" for name, make in PAGES.items()}
    if unused := notes.unused():
        sys.exit(f"docs/generator/notes.md has notes of what there is not: {', '.join(unused)}")
    old = [path for path, text in pages.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    for path in old:
        print(f"docs/reference/{path.name}")
        if "--check" not in words:
            path.parent.mkdir(exist_ok=True)
            path.write_text(pages[path], encoding="utf-8")
    return 1 if old and "--check" in words else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
