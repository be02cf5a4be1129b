"""Finds what several heads can't share: one backbone reads every input once, in one way, for all of them."""

from __future__ import annotations

from collections.abc import Iterator

from .. import variants
from ..diagnostics import At, Diagnostic, listed, nearest, quote
from ..language.spec import Draft
from ..world.facts import Facts
from .plan import MEAN

OWN_WAYS = ("has_offsets",)  # what more is kept of an input for one head does the others no harm
LENGTHS = ("max_length", "stride")  # keys under `data` by which an input is cut


def several(spec: Draft, facts: Facts) -> Iterator[Diagnostic]:
    """Everything wrong between the heads of a spec."""
    if len(spec.tasks) > 1:
        yield from _read_otherwise(spec, facts)
        yield from _drawn(spec)
    yield from _adapted(spec, facts)
    yield from _sampled(spec)
    if spec.tasks and spec.train and spec.train.metric and not spec.lost & {"metric", "head", "heads", "type"}:
        yield from _metric(spec, spec.train.metric)


def _read_otherwise(spec: Draft, facts: Facts) -> Iterator[Diagnostic]:
    """Heads for which an input would become other arrays than for the first."""
    beside = [(task, seen) for task, seen in zip(spec.tasks, facts.each, strict=True) if not _is_apart(task)]
    if not beside:
        return
    (first, seen), *others = beside
    for task, facts_of in others:
        mine, theirs = facts_of.preprocessing, seen.preprocessing
        if mine is None or theirs is None or task.input is None or first.input is None:
            continue
        differing = [key for key in {**theirs, **mine} if mine.get(key) != theirs.get(key) and key not in OWN_WAYS]
        augments = [getattr(each.input, "augment", None) for each in (first, task)]
        if augments[0] != augments[1]:
            differing.append("augment")
        if differing:
            yield _otherwise(first, task, differing[0], (theirs.get(differing[0]), mine.get(differing[0])))


def _otherwise(first: Draft, task: Draft, key: str, values: tuple[object, object]) -> Diagnostic:
    writes = [each for each in (task, first) if ("data", key) in each.own]
    at = At(("heads", writes[0].name, "data", key)) if writes else At(("heads", task.name), on_key=True)
    also = (At(("heads", first.name if not writes or writes[0] is task else task.name), "the other", on_key=True),)
    notes: tuple[str, ...] = ("the backbone runs once for all heads, so an input is read once, in one way",)
    if key in LENGTHS:
        headline, help = (
            f"`{key}` is another for `{task.name}` than for `{first.name}`",
            f"write `{key}` once, under the top `data`",
        )
    elif key == "augment":
        headline, help = (
            f"`{task.name}` is augmented otherwise than `{first.name}`",
            "write `augment` once, under the top `data`",
        )
    else:
        kinds = {"is_pair": ("one text", "a pair of texts"), "is_apart": ("one text", "texts that are compared")}
        said = [kinds[key][bool(value)] if key in kinds else str(value) for value in values]
        headline = f"`{task.name}` reads inputs otherwise than `{first.name}`"
        notes = (
            f"`{first.name}` takes {said[0]}, `{task.name}` {said[1]}"
            if key in kinds
            else f"`{key}`: {said[0]}, {said[1]}",
            *notes,
        )
        help = "keep heads together that take the same inputs, and build the others from another spec"
    return Diagnostic("E0381", headline, at, also, notes, help)


def _drawn(spec: Draft) -> Iterator[Diagnostic]:
    """Heads that ask other inputs of the backbone than the others, or have nothing to learn."""
    for task in spec.tasks:
        if _is_apart(task):
            at = At(("heads", task.name, "type"))
            headline = f"`{task.head_type}` beside other heads is not available yet"
            yield Diagnostic("E0206", headline, at, help="give it a spec of its own, with `head`")


def _is_apart(task: Draft) -> bool:
    module = variants.top(task.head_type) if task.head_type else None
    return hasattr(module, "draw") or bool(getattr(module, "IS_STILL", False))


def _adapted(spec: Draft, facts: Facts) -> Iterator[Diagnostic]:
    """Heads that want an adapter of their own where the method has none: what learns is the one backbone itself."""
    if spec.method is None or facts.backbone is None or variants.load("methods", spec.method).ADDS:
        return
    methods = {word: variants.load("methods", word) for word in variants.words("methods")}
    works = [word for word, method in methods.items() if method.ADDS and facts.backbone.provides >= method.NEEDS]
    for task in spec.tasks:
        if task.entry.adapt == "own":
            at, also = At(("heads", task.name, "adapt"), "has nothing of its own"), (At(("adapt", "method")),)
            headline = f"`{spec.method}` adds nothing that `{task.name}` could have for itself"
            notes = ("all heads stand on one backbone; of their own they can have what a method adds to it",)
            help = f"remove `adapt` here, or adapt by one of: {listed(works, 40)}"
            yield Diagnostic("E0550", headline, at, also, notes, help)


def _sampled(spec: Draft) -> Iterator[Diagnostic]:
    sets = {task.together or (task.name,) for task in spec.tasks}
    if spec.train and "sampling" in spec.train.model_fields_set and len(sets) <= 1 and not spec.lost:
        why = "all heads learn from the same rows" if len(spec.tasks) > 1 else "there is one head"
        at = At(("train", "sampling"), why)
        yield Diagnostic("W0302", "`sampling` has no effect on one set of rows", at, help="remove `sampling`")


def _metric(spec: Draft, written: str) -> Iterator[Diagnostic]:
    """What `train.metric` names where heads have names: the metric of one, or the mean of all."""
    head, _, metric = written.partition(".")
    tasks = {task.name: task for task in spec.tasks}
    at = At(("train", "metric"), "not known")
    if head in tasks and metric:
        entry = tasks[head].entry.metric
        if entry is not None and entry != metric:
            also = (At(("heads", head, "metric"), "another one"),)
            headline = f"`{head}` has two metrics"
            yield Diagnostic("E0209", headline, At(("train", "metric"), "one of the two"), also, help="keep one")
        return
    known = [f"{name}.{task.train.metric or _first(task)}" for name, task in tasks.items() if task.train]
    if written == MEAN and len(tasks) > 1:
        return
    if len(tasks) > 1:
        known.append(MEAN)
    metrics = [name for name, task in tasks.items() if task.head_type and written in _names(task)]
    help = (
        f"write `metric: {metrics[0]}.{written}`"
        if metrics
        else nearest(written, known) or f"write `metric: {known[0]}`"
    )
    notes = (f"for example {listed(known)}",)
    yield Diagnostic("E0321", f"{quote(written)} is the metric of no head", at, (), notes, help)


def _names(task: Draft) -> tuple[str, ...]:
    head = variants.top(str(task.head_type))
    return tuple(name for role in head.TARGETS for name in head.metrics({role: (role,)}))


def _first(task: Draft) -> str:
    return _names(task)[0] if task.head_type else "…"
