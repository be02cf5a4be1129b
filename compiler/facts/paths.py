"""Finds absolute paths in a spec, which a bundle would record and which exist on one machine only."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from ..boundary import Boundary
from ..diagnostics import At, Diagnostic, quote
from ..language.paths import paths
from ..language.spec import Draft


def absolute(spec: Draft, folder: Path, boundary: Boundary) -> Iterator[Diagnostic]:
    """A warning for each absolute path."""
    for keys, path in paths(spec):
        if os.path.isabs(path) and not boundary.is_outside(path):
            at = At(keys, "a path of this machine")
            note = "it is written into the plan and the bundle, and leads nowhere on another machine"
            near = quote(os.path.relpath(path, os.path.abspath(folder)))
            help = f"write {near}" if os.path.exists(path) else "give it relative to the spec's folder"
            yield Diagnostic("W0330", f"{quote(path)} is absolute", at, notes=(note,), help=help)
