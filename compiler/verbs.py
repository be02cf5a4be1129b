"""The public verbs: validate, plan, build."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .diagnostics import Diagnostic, Refused
from .language.overrides import override
from .language.parse import parse
from .language.source import Source, read
from .planning.lower import lower
from .planning.plan import Plan
from .planning.problems import problems
from .world.facts import gather

if TYPE_CHECKING:
    from .execution.executor import Built
    from .execution.progress import Progress


def check(source: Source) -> tuple[Plan | None, tuple[Diagnostic, ...]]:
    """The plan of a source, or None where something is wrong, and all there is to say.

    Raises Refused for a spec of the wrong shape (E02xx) and where the machine is at fault.
    """
    spec = parse(source)
    try:
        facts = gather(spec, source.folder)
        found = problems(spec, facts)
    except Refused as refused:
        refused.source = source
        raise
    if any(d.is_error for d in found):
        return None, found
    return lower(spec, facts, source.data), found


def validate(path: str | Path) -> tuple[Diagnostic, ...]:
    """Everything wrong with a spec, and warnings; empty for a clean one. Never raises Refused."""
    try:
        return check(read(Path(path)))[1]
    except Refused as refused:
        return refused.diagnostics


def plan(path: str | Path, sets: Sequence[str] = ()) -> Plan:
    """The plan of a spec; raises Refused where `validate` finds an error."""
    source = override(read(Path(path)), sets)
    planned, found = check(source)
    if planned is None:
        raise Refused(found, source=source)
    return planned


def build_source(source: Source, output: Path | None, store: Path | None, progress: Progress | None = None) -> Built:
    """Plans a source and executes the plan; raises Refused where something is wrong or a gate fails."""
    from .execution.executor import Built, execute
    from .execution.progress import Progress
    from .store import Store, default_root

    plan, found = check(source)
    if plan is None:
        raise Refused(found, source=source)
    try:
        built = execute(
            plan,
            source.folder,
            output or Path("bundles") / plan.name,
            Store(store or default_root()),
            progress or Progress(),
            is_just_planned=True,
        )
    except Refused as refused:
        refused.source = refused.source or source
        raise
    return Built(built.folder, built.plan, built.ran, built.metrics, found)


def build(
    path: str | Path, output: str | Path | None = None, store: str | Path | None = None, sets: Sequence[str] = ()
) -> Built:
    """Executes a spec and writes its bundle; raises Refused where something is wrong or a gate fails."""
    source = override(read(Path(path)), sets)
    return build_source(source, Path(output) if output else None, Path(store) if store else None)
