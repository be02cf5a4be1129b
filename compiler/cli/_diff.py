"""`graftc plan --diff`: prints and judges the changes from an old plan."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from ..api import CheckOptions
from ..diagnostics import Refused, listed, refuse
from ..language.source import Source
from ..planning.plan import Plan
from ..renderers import printable
from ..renderers._terminal import terminal_of


def differ(
    source: Source,
    plan: Plan,
    name: str,
    old: str,
    sets: Sequence[str],
    has_data: bool,
    as_json: bool,
    fail_on: str | None,
) -> None:
    """Prints the changes from `old` to the plan of a source with overrides `sets`.

    Raises Refused E0230 after printing, where `fail_on` forbids a change.
    """
    from ..diff.compare import Diff, compare
    from ..diff.old import old_snapshot
    from ..diff.show import show
    from ..diff.snapshots import of_spec

    before = old_snapshot(old, Path(name), CheckOptions(has_data=has_data), source.boundary)
    diff: Diff = compare(before, of_spec(" ".join((name, *(f"--set {each}" for each in sets))), source, plan))
    print(printable(diff.model_dump_json(indent=2)) if as_json else show(diff, terminal_of(sys.stdout)))
    sys.stdout.flush()
    if fail_on and diff.breaking:
        raise _forbidden("breaks users of the bundle", listed({change.field for change in diff.breaking}), fail_on)
    if fail_on == "retrains" and diff.retrains:
        raise _forbidden("retrains the model", listed(run.stage for run in diff.runs if run.because), fail_on)


def _forbidden(what: str, where: str, fail_on: str) -> Refused:
    return refuse(
        "E0230",
        f"the change {what}",
        f"`--fail-on {fail_on}` forbids it; it lies in: {where}",
        help="undo it, or run without --fail-on once it is meant",
    )
