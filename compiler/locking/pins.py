"""Holds a plan that was made from a lock to what it was locked with."""

from __future__ import annotations

from pathlib import Path

from ..diagnostics import At, Diagnostic, Refused, clean, quote
from ..machine import installed
from ..planning.plan import Plan
from ..store.hashes import file_sha256


def refuse_drift(plan: Plan, backbone: Path, memory: Path) -> None:
    """Raises Refused with everything that is not what the plan's pins say: E0405 for files, E0347 for libraries."""
    if plan.pins is None:
        return
    found = []
    for name, sha256 in plan.pins.files.items():
        path = backbone / name
        if not path.is_file() or file_sha256(path, memory) != sha256:
            headline = f"the backbone's {quote(name)} is not what the plan was locked with"
            help = "bring the file back, or lock and plan again"
            found.append(Diagnostic("E0405", headline, At(("backbone", "from")), help=help))
    for name, version in plan.pins.versions.items():
        if installed(name) != version:
            note = f"version: locked {clean(version)}, found {clean(installed(name)) or 'not installed'}"
            headline = f"{quote(name)} is not what the plan was locked with"
            help = "install what was locked, or lock and plan again"
            found.append(Diagnostic("E0347", headline, notes=(note,), help=help))
    if found:
        raise Refused(tuple(found))
