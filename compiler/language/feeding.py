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
    elif _has_more_inputs(stage, chosen):
        found.append(_unread(stage, chosen, path))
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


def _has_more_inputs(stage: Draft, head: Draft) -> bool:
    """Whether the inputs of a head have parts besides those that the stage reads."""
    read, there = (variants.top(str(one.head_type)).modalities for one in (stage, head))
    return there[0] == read[0] and there != read  # a backbone of other inputs altogether is reported with the backbone


def _unread(stage: Draft, head: Draft, path: Path) -> Diagnostic:
    """E0464: the inputs of a head have parts that the stage does not read."""
    read, there = (" and ".join(variants.top(str(one.head_type)).modalities) for one in (stage, head))
    return _unfit(head, path, f"reads {read} alone", f"the rows of {_shown(head)} are of {there}")


def unlabelled(stage: Draft, head: Draft, path: Path) -> Diagnostic:
    """E0464: the rows of a head do not have one label each, which a contrastive objective needs."""
    return _unfit(head, path, "needs one label a row", f"the rows of {_shown(head)} have not one label each")


def _unfit(head: Draft, path: Path, needs: str, headline: str) -> Diagnostic:
    where = ("heads", head.name) if head.name else ("head",)
    at, also = At((*path, "objective"), needs), (At((*where, "type"), "the head whose rows it reads"),)
    help = "remove this stage, or name another head below it: `head: NAME`" if head.name else "remove this stage"
    return Diagnostic("E0464", headline, at, also, help=help)


def _shown(head: Draft) -> str:
    return f"`{head.name or head.head_type}`"
