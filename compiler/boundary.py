"""The boundary of `--confine`: folders outside of which no file is opened that a spec, a table or a row names."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from os import PathLike

from .diagnostics import At, Diagnostic, Row, Span, quote

CODE = "E0353"
WAY = "put a copy inside; data that lies elsewhere on purpose takes another `--confine` for its folder"
# `.git` may hold the password of a clone, but also data files of Git LFS and git-annex. Their names are matched in
# full, because a submodule may have the name of their folders
_OF_LFS = r"lfs/objects/[0-9a-f]{2}/[0-9a-f]{2}/[0-9a-f]{64}"
_OF_ANNEX = r"annex/objects/[^/]{1,3}/[^/]{1,3}/(?P<key>[A-Z0-9]+(?:-[A-Za-z][0-9]+)*--[^/]+)/(?P=key)"
_CLONE = re.compile(rf"(?:^|/)\.git(?:$|/(?!(?:.*/)?(?:{_OF_LFS}|{_OF_ANNEX})\Z))")
Name = str | PathLike[str]


@dataclass(frozen=True)
class Boundary:
    """Folders that must contain, once links are followed, every path that a spec, a table or a row names.

    `folders` are the user's folders as real paths; without any, every path is inside. `others` are inside too: graftc's
    own folders, and paths from the command line.
    """

    folders: tuple[str, ...] = ()
    written: tuple[str, ...] = ()  # the user's folders as written
    others: tuple[str, ...] = ()
    _real: dict[str, str] = field(default_factory=dict, compare=False, repr=False)  # cache: folder → real path

    @property
    def is_closed(self) -> bool:
        """Whether there are folders, so that paths can be outside."""
        return bool(self.folders)

    @property
    def shown(self) -> str:
        """The user's folders, for a sentence."""
        return " and ".join(map(quote, self.written))

    def including(self, paths: Iterable[Name]) -> Boundary:
        """The boundary with further files and folders inside."""
        if not self.is_closed:
            return self
        return replace(self, others=(*self.others, *filter(None, map(_resolved, paths))), _real={})

    def is_outside(self, path: Name) -> bool:
        """Whether a path is outside, by its real path; opens nothing."""
        if not self.is_closed:
            return False
        try:
            real = self._followed(os.path.join(os.getcwd(), path))
        except ValueError:  # a NUL in the name, so no such file exists
            return False
        return not self._holds(real) or _is_another(path, real)

    def leads_out(self, path: Name) -> bool:
        """Whether a path given by the user is inside by name but outside by a link."""
        if not self.is_closed:
            return False
        written = os.path.abspath(path)
        own = (*self.folders, *map(os.path.abspath, self.written))
        return any(_is_within(written, folder) for folder in own) and self.is_outside(path)

    def _followed(self, path: str) -> str:
        """The real path; the folder's is cached for files in one folder."""
        head, tail = os.path.split(path)
        if tail in ("", os.curdir, os.pardir):
            return os.path.realpath(path)
        if head not in self._real:
            self._real[head] = os.path.realpath(head)
        real = os.path.join(self._real[head], tail)
        return os.path.realpath(real) if os.path.islink(real) else real

    def _holds(self, real: str) -> bool:
        within = [folder for folder in self.folders if _is_within(real, folder)]
        # a `.git` is outside, also where the folders are nested
        if within and not any(_CLONE.search(os.path.relpath(real, folder)) for folder in within):
            return True
        return any(_is_within(real, other) for other in self.others)


OPEN = Boundary()


def outside(what: str, at: At | Row | Span | None, boundary: Boundary, *notes: str) -> Diagnostic:
    """The diagnostic for a path that is outside, the same whether it exists or not."""
    flags = quote(" ".join(f"--confine {folder}" for folder in boundary.written))
    note = f"{flags} lets nothing be opened that lies elsewhere, once links are followed"
    return Diagnostic(CODE, f"{what} leads out of {boundary.shown}", at, notes=(*notes, note), help=WAY)


def _is_within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def _is_another(path: Name, real: str) -> bool:
    """Whether a path opens another file than its real path does, as links of /proc into other containers can."""
    try:
        return not os.path.samefile(path, real)
    except OSError:  # no such file
        return False


def _resolved(path: Name) -> str:
    try:
        return os.path.realpath(path)
    except ValueError:
        return ""
