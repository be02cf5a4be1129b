"""The boundary that nothing crosses which a spec, a table or a row names: `--confine`."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from os import PathLike

from .diagnostics import At, Diagnostic, Row, Span, quote

CODE = "E0353"
WAY = "put a copy inside; data that lies elsewhere on purpose takes another `--confine` for its folder"
# a clone's own folder may hold the password that it was cloned with; what Git LFS and git-annex keep there are data
# files. Their names are asked in full: a submodule may be called as their folders are
_OF_LFS = r"lfs/objects/[0-9a-f]{2}/[0-9a-f]{2}/[0-9a-f]{64}"
_OF_ANNEX = r"annex/objects/[^/]{1,3}/[^/]{1,3}/(?P<key>[A-Z0-9]+(?:-[A-Za-z][0-9]+)*--[^/]+)/(?P=key)"
_CLONE = re.compile(rf"(?:^|/)\.git(?:$|/(?!(?:.*/)?(?:{_OF_LFS}|{_OF_ANNEX})\Z))")
Name = str | PathLike[str]


@dataclass(frozen=True)
class Boundary:
    """Folders in which everything must lie that a spec, a table or a row names, once its links are followed.

    `folders` are those that the user gave, as real paths; without any all paths are inside. `others` are inside too:
    where graftc keeps its own, and what the command line names.
    """

    folders: tuple[str, ...] = ()
    written: tuple[str, ...] = ()  # as the user wrote them
    others: tuple[str, ...] = ()
    _real: dict[str, str] = field(default_factory=dict, compare=False, repr=False)  # of folders that were asked for

    @property
    def is_closed(self) -> bool:
        """Whether there is an outside."""
        return bool(self.folders)

    @property
    def shown(self) -> str:
        """The folders that the user gave, for a sentence."""
        return " and ".join(map(quote, self.written))

    def including(self, paths: Iterable[Name]) -> Boundary:
        """The boundary with further files and folders inside."""
        if not self.is_closed:
            return self
        return replace(self, others=(*self.others, *filter(None, map(_resolved, paths))), _real={})

    def is_outside(self, path: Name) -> bool:
        """Whether a path leads out: judged by where it ends, not by how it is written. Nothing there is opened."""
        if not self.is_closed:
            return False
        try:
            real = self._followed(os.path.join(os.getcwd(), path))
        except ValueError:  # a NUL in the name, which no file has
            return False
        return not self._holds(real) or _is_another(path, real)

    def leads_out(self, path: Name) -> bool:
        """Whether a path of the user's own lies inside by its name, and outside by a link that somebody put there."""
        if not self.is_closed:
            return False
        written = os.path.abspath(path)
        own = (*self.folders, *map(os.path.abspath, self.written))
        return any(_is_within(written, folder) for folder in own) and self.is_outside(path)

    def _followed(self, path: str) -> str:
        """The real path; of files in one folder, that is followed once."""
        head, tail = os.path.split(path)
        if tail in ("", os.curdir, os.pardir):
            return os.path.realpath(path)
        if head not in self._real:
            self._real[head] = os.path.realpath(head)
        real = os.path.join(self._real[head], tail)
        return os.path.realpath(real) if os.path.islink(real) else real

    def _holds(self, real: str) -> bool:
        within = [folder for folder in self.folders if _is_within(real, folder)]
        # a `.git` is out of all of them, however they lie in each other
        if within and not any(_CLONE.search(os.path.relpath(real, folder)) for folder in within):
            return True
        return any(_is_within(real, other) for other in self.others)


OPEN = Boundary()


def outside(what: str, at: At | Row | Span | None, boundary: Boundary, *notes: str) -> Diagnostic:
    """What is said, in one way everywhere, of a path that leads out; the same whether something lies there or not."""
    flags = quote(" ".join(f"--confine {folder}" for folder in boundary.written))
    note = f"{flags} lets nothing be opened that lies elsewhere, once links are followed"
    return Diagnostic(CODE, f"{what} leads out of {boundary.shown}", at, notes=(*notes, note), help=WAY)


def _is_within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def _is_another(path: Name, real: str) -> bool:
    """Whether a path opens something else than its real path, as links of /proc into other containers do."""
    try:
        return not os.path.samefile(path, real)
    except OSError:  # nothing is there
        return False


def _resolved(path: Name) -> str:
    try:
        return os.path.realpath(path)
    except ValueError:
        return ""
