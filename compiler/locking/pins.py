"""Compares the files and versions of a build with the pins of a plan that was made from a lock."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from ..diagnostics import At, Diagnostic, Refused, clean, quote
from ..facts.backbone import BackboneFacts, backbone_files
from ..machine import recorded
from ..planning.plan import Plan


def refuse_drift(plan: Plan, backbone: BackboneFacts, memory: Path) -> None:
    """Raises Refused with every difference from the plan's pins: E0405 for files, E0347 for libraries.

    The files found are compared with the pins, and no file is opened because a pin names it; a file that the pins leave
    out is reported too.
    """
    if plan.pins is None:
        return
    found = []
    for name in _differing(plan.pins.files, backbone_files(backbone, memory)):
        headline = f"the backbone's {quote(name)} is not what the plan was locked with"
        help = "bring the file back, or lock and plan again"
        found.append(Diagnostic("E0405", headline, At(("backbone", "from")), help=help))
    was, now = plan.pins.versions, recorded()
    for name in _differing(was, now):
        locked, there = (clean(versions.get(name, "")) or "not installed" for versions in (was, now))
        headline = f"{quote(name)} is not what the plan was locked with"
        help = "install what was locked, or lock and plan again"
        found.append(Diagnostic("E0347", headline, notes=(f"version: locked {locked}, found {there}",), help=help))
    if found:
        raise Refused(tuple(found))


def _differing(was: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    return (name for name in sorted({*was, *now}) if was.get(name) != now.get(name))
