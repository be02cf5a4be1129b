"""Hook of mkdocs: pages outside docs/ that docs link to, such as CONTRIBUTING.md, are pages of the site as well."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[2]
INSIDE = "repository"  # the folder of the site in which they lie, by their paths in the repository
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
    """Adds the pages from outside."""
    for pattern in PAGES:
        for path in sorted(ROOT.glob(pattern)):
            name = f"{INSIDE}/{path.relative_to(ROOT).as_posix()}"
            files.append(File.generated(config, name, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links lead where their page lies on the site; a block's file stands before it."""
    uri = page.file.src_uri
    folder = posixpath.dirname(in_repository(uri))
    start = posixpath.dirname(uri) or "."

    def moved(link: re.Match[str]) -> str:
        target = site_path(posixpath.normpath(posixpath.join(folder, link["path"])))
        return posixpath.relpath(target, start) + (link["anchor"] or "")

    named = NAMED_FENCE.sub(r"`\g<file>`:\n\n```\g<language>", markdown)
    return LINK.sub(moved, named)


def in_repository(uri: str) -> str:
    """Where a page of the site lies in the repository."""
    return uri.removeprefix(f"{INSIDE}/") if uri.startswith(f"{INSIDE}/") else f"docs/{uri}"


def site_path(path: str) -> str:
    """Where a file of the repository lies on the site."""
    return path.removeprefix("docs/") if path.startswith("docs/") else f"{INSIDE}/{path}"
