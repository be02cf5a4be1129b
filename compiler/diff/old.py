"""Finds the old side of a comparison: a spec, a plan, a bundle, or the spec at a git revision."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ..api import CheckOptions, check
from ..boundary import OPEN, Boundary, outside
from ..diagnostics import At, Diagnostic, Refused, Row, Span, quote, refuse
from ..language.source import Source, read
from ..planning.plan import Plan
from .revision import at_revision
from .snapshots import Snapshot, of_bundle, of_plan, of_spec

GIT = "git:"


def old_snapshot(reference: str, spec: Path, options: CheckOptions, boundary: Boundary = OPEN) -> Snapshot:
    """The plan that `reference` names; a spec is planned first.

    `spec` is the new spec, of which git:REV is an earlier state. `options` says whether the old data is read or taken
    from the old lock. The user typed `reference`, so it may lie anywhere; every path that it names in turn must lie
    within `boundary`.

    Raises Refused: E0353 for a path outside of the boundary, E0231 where nothing exists, E0232–E0235 and E0350 for what
    git can't provide, and every finding about an old spec.
    """
    if reference.startswith(GIT):
        return _at_revision(reference, spec, options, boundary)
    path = Path(reference)
    if boundary.leads_out(path):
        raise Refused((outside(quote(reference), None, boundary),))
    if path.is_dir():
        return of_bundle(reference, path, boundary.including([path]))
    if not path.is_file():
        raise refuse(
            "E0231",
            f"{quote(reference)} can't be compared with a plan",
            "there is no such file or folder",
            help="give a spec, a plan, the folder of a bundle, or git:REVISION",
        )
    if path.suffix == ".json":
        return of_plan(reference, path)
    source = read(path, reference, boundary=boundary)
    return of_spec(reference, source, _planned(source, options))


def _planned(source: Source, options: CheckOptions) -> Plan:
    plan, found = check(source, options)
    if plan is None:
        raise Refused(found, source=source)
    return plan


def _at_revision(reference: str, spec: Path, options: CheckOptions, boundary: Boundary) -> Snapshot:
    with at_revision(reference.removeprefix(GIT), spec, boundary) as checkout:
        shown = f"{GIT}{checkout.revision}:{checkout.name}"
        try:
            source = read(checkout.spec, shown, checkout.fetch, boundary=checkout.boundary)
            checkout.bring_all(source)
            plan = _planned(source, options)
            is_of_today = any(Path(name).name in plan.backbone.files for name in checkout.today)
            return of_spec(reference, source, plan, checkout.notes(), is_of_today)
        except Refused as refused:
            raise _as_it_was(refused, checkout.folder, shown) from None


def _as_it_was(refused: Refused, folder: Path, shown: str) -> Refused:
    """The refusal with the path of the temporary checkout removed; below it, files have their true paths."""

    def clean(text: str) -> str:
        return text.replace(str(folder), "")

    def there(at: At | Span | Row | None) -> At | Span | Row | None:
        return replace(at, file=clean(at.file)) if isinstance(at, Span | Row) else at

    def cleaned(found: Diagnostic) -> Diagnostic:
        notes = tuple(map(clean, found.notes))
        return replace(found, headline=clean(found.headline), at=there(found.at), notes=notes, help=clean(found.help))

    source = refused.source
    if isinstance(source, Source):
        source = replace(source, folder=Path(shown).parent)
    return Refused(tuple(map(cleaned, refused.diagnostics)), refused.status, source)
