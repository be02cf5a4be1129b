"""An mkdocs hook: pages outside of docs/ that docs link to, such as CONTRIBUTING.md, become pages of the site."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[2]
INSIDE = "repository"  # the site's folder for these pages, by their paths in the repository
PAGES = (
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "README.md",
    "SECURITY.md",
    "benchmarks/measured/*.md",
    "compiler/diagnostics/pages/[EW]*.md",
    "specs/data/README.md",
    "LICENSE",
)
LINK = re.compile(r"(?<=\]\()(?!\w+:|#)(?P<path>[^)#\s]+)(?P<anchor>#[^)\s]*)?(?=\))")
NAMED_FENCE = re.compile(r"^```(?P<language>\w+) (?P<file>[\w./-]+)$", re.MULTILINE)


def on_files(files: Files, config: Any) -> Files:
    """Adds the pages from outside of docs/."""
    for pattern in PAGES:
        for path in sorted(ROOT.glob(pattern)):
            name = f"{INSIDE}/{path.relative_to(ROOT).as_posix()}"
            files.append(File.generated(config, name, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """The page with its links moved to the site's paths, and the file name of a code block put before the block."""
    uri = page.file.src_uri
    folder = posixpath.dirname(in_repository(uri))
    start = posixpath.dirname(uri) or "."

    def moved(link: re.Match[str]) -> str:
        target = site_path(posixpath.normpath(posixpath.join(folder, link["path"])))
        return posixpath.relpath(target, start) + (link["anchor"] or "")

    named = NAMED_FENCE.sub(r"`\g<file>`:\n\n```\g<language>", markdown)
    return LINK.sub(moved, named)


def in_repository(uri: str) -> str:
    """The repository path of a page of the site."""
    return uri.removeprefix(f"{INSIDE}/") if uri.startswith(f"{INSIDE}/") else f"docs/{uri}"


def site_path(path: str) -> str:
    """The site path of a file of the repository."""
    return path.removeprefix("docs/") if path.startswith("docs/") else f"{INSIDE}/{path}"
