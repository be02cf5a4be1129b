"""Stages of `pretrain` that read the training rows of a head instead of data of their own."""

from __future__ import annotations

from dataclasses import replace

from .. import variants
from ..contracts.options import ReadsHead
from ..diagnostics import At, Diagnostic, Path, listed, nearest, quote
from .spec import Draft

ROWS = "it reads the training rows of the head after it, so that none that validates or tests comes in"


def reads_head(word: str | None) -> bool:
    """Whether an objective takes no data of its own and reads the training rows of a head instead."""
    return word is not None and variants.top(word).reads_head


def fed(number: int, stage: Draft, shared: Draft, has_data: bool) -> Draft:
    """A stage with the data, input and name of the head whose rows it reads: the head that it names, or the only one.

    `found` holds the diagnostics where there is no such head or its rows have no labels.
    """
    path: Path = ("pretrain", number)
    found = [_own_data(stage, path)] if has_data else []
    chosen = _chosen(stage, shared, path)
    if isinstance(chosen, Diagnostic):
        return replace(stage, found=(*found, chosen))
    if chosen is None or chosen.head_type is None:  # reported already
        return replace(stage, found=tuple(found))
    if "label" not in variants.top(chosen.head_type).targets:
        found.append(unlabelled(stage, chosen, path))
    return replace(stage, name=chosen.name, data=chosen.data, input=chosen.input, found=tuple(found))


def _own_data(stage: Draft, path: Path) -> Diagnostic:
    at = At((*path, "data"), "not its own to choose", on_key=True)
    return Diagnostic("E0463", f"`{stage.head_type}` takes no data of its own", at, notes=(ROWS,), help="remove `data`")


def _chosen(stage: Draft, shared: Draft, path: Path) -> Draft | Diagnostic | None:
    written = stage.head.head if isinstance(stage.head, ReadsHead) else None
    tasks = {task.name: task for task in shared.tasks}
    at = At((*path, "head"), "not known")
    if not tasks:
        if written is not None and not shared.lost & {"heads"}:
            headline = f"there is no head {quote(written)}: `head` has no name"
            return Diagnostic("E0465", headline, at, help="remove `head`, or write `heads` with a name for each")
        return shared
    if written is None and len(tasks) == 1:
        return next(iter(tasks.values()))
    if written is None:
        at = At((*path, "objective"), "reads the rows of one head")
        help = f"write `head: {next(iter(tasks))}` below it"
        return Diagnostic(
            "E0465",
            "the stage must name the head whose rows it reads",
            at,
            (),
            (f"heads: {listed(tuple(tasks))}",),
            help,
        )
    if written not in tasks:
        help = nearest(written, tasks) or f"write `head: {next(iter(tasks))}`"
        return Diagnostic(
            "E0465", f"there is no head {quote(written)}", at, (), (f"heads: {listed(tuple(tasks))}",), help
        )
    return tasks[written]


def unlabelled(stage: Draft, head: Draft, path: Path) -> Diagnostic:
    """E0464: the rows of a head do not have one label each, which a contrastive objective needs."""
    where = ("heads", head.name) if head.name else ("head",)
    which = f"`{head.name}`" if head.name else f"`{head.head_type}`"
    at, also = (
        At((*path, "objective"), "needs one label a row"),
        (At((*where, "type"), "the head whose rows it reads"),),
    )
    headline = f"the rows of {which} have not one label each"
    help = "remove this stage, or name another head below it: `head: NAME`" if head.name else "remove this stage"
    return Diagnostic("E0464", headline, at, also, help=help)
