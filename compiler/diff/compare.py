"""The comparison of two plans."""

from __future__ import annotations

from ..frozen import Frozen
from ..planning.plan import no_plan
from .breaking import breaking
from .changes import Change
from .cost import Cost, costs
from .snapshots import Snapshot
from .stages import Run, compare_stages


class Diff(Frozen):
    """Everything that changes from an old plan to a new one, by consequence; as JSON, the output of `--diff --json`."""

    old: str
    new: str
    old_plan: str  # hashes of the plans
    new_plan: str
    is_equal: bool  # a build of the new plan would have nothing to do
    breaking: tuple[Change, ...]
    retrains: bool  # whether weights are trained again
    runs: tuple[Run, ...]
    reuses: tuple[str, ...]  # stages
    costs: tuple[Cost, ...]
    notes: tuple[str, ...]


def compare(old: Snapshot, new: Snapshot) -> Diff:
    """Everything that changes between two plans; a pure function of the two snapshots.

    Raises Refused E0212 where the old plan was read from a file and holds records that no variant wrote.
    """
    try:
        return _compared(old, new)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        if not old.is_read:
            raise
        raise no_plan(old.name, "a record in it is not as graftc writes it") from None


def _compared(old: Snapshot, new: Snapshot) -> Diff:
    stages, breaks = compare_stages(old, new), breaking(old.plan, new.plan)
    return Diff(
        old=old.name,
        new=new.name,
        old_plan=old.plan.sha256,
        new_plan=new.plan.sha256,
        is_equal=not (stages.runs or breaks),
        breaking=breaks,
        retrains=stages.retrains,
        runs=stages.runs,
        reuses=stages.reuses,
        costs=costs(old.plan, new.plan),
        notes=(*old.notes, *new.notes, *stages.notes),
    )
