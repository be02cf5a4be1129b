"""Finds the version of each quantized precision that passes its gates, and says why none does."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from ...runtime.errors import BundleError
from ..bundling.manifest import file_of
from ..diagnostics import Diagnostic, Refused, refuse
from ..execution.preprocessing import preprocessor
from ..execution.work import Work
from ..planning.plan import Plan
from ..planning.terms import SMALL
from ..units import in_bytes
from .attempts import Attempt, attempts
from .calibration import RANGES, Sample, drawn

Scored = TypeVar("Scored")


def settled(work: Work, draft: Path, precision: str, ask: Callable[[str], Scored], made: dict[str, Attempt]) -> Scored:
    """The scores of a precision that `ask` gives: of a quantized one those of the first version that passes.

    This version is added to `made`, and linked into the folder `draft`. Raises Refused E0402 where scores fall too far,
    E0420 where every version is too large.
    """
    if precision in work.plan.export.quantized:
        return _first(work, draft, precision, ask, made)
    try:
        return ask(precision)
    except Refused as refused:
        raise Refused((_without(work.plan, precision, refused),)) from None


def _first(work: Work, draft: Path, precision: str, ask: Callable[[str], Scored], made: dict[str, Attempt]) -> Scored:
    failed: list[Refused] = []
    tried: list[str] = []
    for attempt in _attempts(work, precision):
        if tried:
            work.progress.say(f"the {precision} graph did not pass; trying {attempt.words} …")
        tried.append(attempt.words)
        if attempt.is_large:
            continue
        _link(work.plan, draft, precision, attempt.folder)
        try:
            found = ask(precision)
        except Refused as refused:
            failed.append(refused)
        except BundleError as error:
            said = "; ".join((error.message, *error.notes))
            failed.append(refuse("E0402", f"the {precision} graph can't be run", said, f"kept for inspection: {draft}"))
        else:
            made[precision] = attempt
            return found
    for graph in work.plan.export.graphs:
        (work.out / file_of(graph, precision)).unlink(missing_ok=True)
    _link(work.plan, draft, precision, work.inputs["quantize"])
    raise hopeless(work, precision, failed, tried)


def _attempts(work: Work, precision: str) -> Iterator[Attempt]:
    planned, first = work.plan.export.quantized[precision], work.inputs["quantize"]
    # the ranges of the first attempt serve the later ones of the same kind
    ranges = (first if (first / RANGES).is_file() else work.out) / RANGES

    def draw() -> Sample:
        return drawn(work, preprocessor(work.plan, work.backbone), ranges, planned.samples)

    whole = first, json.loads((first / "told.json").read_bytes())[precision]
    return attempts(precision, planned, tuple(work.plan.export.graphs), work.inputs["export"], work.out, draw, whole)


def hopeless(work: Work, precision: str, failed: Sequence[Refused], tried: Sequence[str]) -> Refused:
    """The first failure of a precision, with what it would save, and with a list of all versions tried."""
    planned = work.plan.export.quantized.get(precision)
    is_named = precision == "int8" and planned and not planned.is_auto
    most = "fp32 itself" if is_named else f"{SMALL:g} of fp32's bytes"
    note = f"each has more than {most}, embeddings apart"
    refused = failed[0] if failed else refuse("E0420", f"no {precision} graph is small enough", note)
    found = _without(work.plan, precision, refused)
    saved = [_saved(work, precision)] if failed else []
    notes = *saved, f"tried without success: {'; '.join(tried)}"
    return Refused((replace(found, notes=(*found.notes, *notes)),))


def _saved(work: Work, precision: str) -> str:
    """What a precision throughout would save."""
    own = _bytes(work.inputs["quantize"], work.plan, precision)
    plain = _bytes(work.inputs["export"], work.plan, "fp32")
    return f"{precision} throughout takes {in_bytes(own)}, and fp32 {in_bytes(plain)}"


def _bytes(folder: Path, plan: Plan, precision: str) -> int:
    files = (file for graph in plan.export.graphs for file in folder.glob(f"{file_of(graph, precision)}*"))
    return sum(file.stat().st_size for file in files)


def _without(plan: Plan, precision: str, refused: Refused) -> Diagnostic:
    """A failure of one precision, with the advice to build without it."""
    (failed,) = refused.diagnostics
    others = [other for other in plan.export.precision if other != precision]
    if not others:
        return failed
    note = f"only {precision} is lost: the trained model is kept, and a build without {precision} trains nothing again"
    kept = f"`export.precision: [{', '.join(others)}]`"
    help = f"build again with {kept}, which takes seconds, or allow more with `export.gate.metric_drop`"
    return replace(failed, notes=(*failed.notes, note), help=help)


def _link(plan: Plan, draft: Path, precision: str, folder: Path) -> None:
    """Links the graphs of a precision in a folder into the draft."""
    for name in (file_of(graph, precision) for graph in plan.export.graphs):
        (draft / name).unlink()
        (draft / name).symlink_to(folder / name)
