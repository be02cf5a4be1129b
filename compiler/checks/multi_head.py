"""Checks of specs with several heads: one input, one preprocessing, one backbone for all."""

from __future__ import annotations

from collections.abc import Iterator

from .. import variants
from ..diagnostics import At, Diagnostic, listed, nearest, quote
from ..facts.facts import Facts
from ..language.spec import Draft
from ..planning.decisions import is_still
from ..planning.terms import MEAN
from .without_effect import nothing

LENGTHS = ("max_length", "stride")  # keys under `data` that set the length of inputs


def several(spec: Draft, facts: Facts) -> Iterator[Diagnostic]:
    """All findings between the heads of a spec."""
    if len(spec.tasks) > 1:
        yield from _read_otherwise(spec, facts)
        yield from _alone(spec)
        yield from _still(spec)
    yield from _adapted(spec, facts)
    yield from _sampled(spec)
    if spec.tasks and spec.train and spec.train.metric and not spec.lost & {"metric", "head", "heads", "type"}:
        yield from _metric(spec, spec.train.metric)


def _read_otherwise(spec: Draft, facts: Facts) -> Iterator[Diagnostic]:
    """Errors for heads that need another preprocessing than the first head."""
    (first, seen), *others = zip(spec.tasks, facts.each, strict=True)
    for task, facts_of in others:
        mine, theirs = facts_of.preprocessing, seen.preprocessing
        if mine is None or theirs is None or task.input is None or first.input is None:
            continue
        differing = [key for key in {**theirs, **mine} if mine.get(key) != theirs.get(key)]
        augments = [each.augmentation for each in (first, task)]
        if augments[0] != augments[1]:
            differing.append("augment")
        if differing:
            yield _otherwise(first, task, differing[0], (theirs.get(differing[0]), mine.get(differing[0])))


def _alone(spec: Draft) -> Iterator[Diagnostic]:
    """Heads whose graph no other head can share."""
    for task in spec.tasks:
        if task.head_type and task.head_variant.stands_alone:
            at, notes = (
                At(("heads", task.name, "type"), "goes on from its own states"),
                ("a pass of the graph serves all heads",),
            )
            headline = f"no other head can stand beside `{task.name}`"
            yield Diagnostic("E0381", headline, at, notes=notes, help="build it from a spec of its own, with `head`")
            return


def _otherwise(first: Draft, task: Draft, key: str, values: tuple[object, object]) -> Diagnostic:
    writes = [each for each in (task, first) if ("data", key) in each.own]
    at = At(("heads", writes[0].name, "data", key)) if writes else At(("heads", task.name), on_key=True)
    also = (At(("heads", first.name if not writes or writes[0] is task else task.name), "the other", on_key=True),)
    notes: tuple[str, ...] = ("an input is read once for all heads, in one way",)
    if key in LENGTHS:
        headline, help = (
            f"`{key}` differs between `{first.name}` and `{task.name}`",
            f"write `{key}` once, under the top `data`",
        )
    elif key == "augment":
        headline, help = (
            f"`augment` differs between `{first.name}` and `{task.name}`",
            "write `augment` once, under the top `data`",
        )
    else:
        kinds = {"is_pair": ("one text", "a pair of texts"), "is_apart": ("one text", "texts that are compared")}
        said = [kinds[key][bool(value)] if key in kinds else str(value) for value in values]
        headline = f"`{first.name}` and `{task.name}` read different inputs"
        notes = (
            f"`{first.name}` takes {said[0]}, `{task.name}` {said[1]}"
            if key in kinds
            else f"`{key}`: {said[0]}, {said[1]}",
            *notes,
        )
        help = "keep heads together that take the same inputs, and build the others from another spec"
    return Diagnostic("E0381", headline, at, also, notes, help)


def _still(spec: Draft) -> Iterator[Diagnostic]:
    """Findings on heads without parameters: keys without effect, and adapters that nothing would train."""
    still = [task for task in spec.tasks if task.head_type and is_still(task.head_type)]
    learn = [task for task in spec.tasks if task not in still]
    if not learn and spec.method:
        yield from nothing(spec, At(("heads", still[0].name, "type"), "has nothing to learn from"))
        return
    is_taught = any(task.entry.adapt == "shared" for task in learn)
    for task in still:
        for key in sorted(task.entry.model_fields_set & {"weight", "metric"}):
            headline, why = f"`{key}` has no effect on a head that learns nothing", f"`{task.head_type}` learns nothing"
            yield Diagnostic("W0302", headline, At(("heads", task.name, key), why), help=f"remove `{key}`")
        is_own = task.entry.adapt == "own"
        if learn and spec.method and spec.method_variant.adds and (is_own or not is_taught):
            at = At(("heads", task.name, "adapt" if is_own else "type"), "learns nothing")
            headline = f"no head would train the adapter of `{task.name}`"
            notes = () if is_own else ("it reads through the adapter that heads share, and the others have their own",)
            help = "remove `adapt`" if is_taught else f"write `adapt: shared` under `heads.{learn[0].name}`"
            yield Diagnostic("E0551", headline, at, notes=notes, help=help)


def _adapted(spec: Draft, facts: Facts) -> Iterator[Diagnostic]:
    """Errors for heads that ask for an adapter of their own where the method adds no tensors."""
    if spec.method is None or facts.backbone is None or spec.method_variant.adds:
        return
    methods = {word: variants.method(word) for word in variants.words("methods")}
    works = [word for word, method in methods.items() if method.adds and facts.backbone.provides >= method.needs]
    for task in spec.tasks:
        if task.entry.adapt == "own":
            at, also = At(("heads", task.name, "adapt"), "has nothing of its own"), (At(("adapt", "method")),)
            headline = f"`{spec.method}` adds no tensors that `{task.name}` could have for itself"
            notes = ("heads share one backbone; a head can own only tensors that a method adds",)
            help = f"remove `adapt` here, or adapt by one of: {listed(works, 40)}"
            yield Diagnostic("E0550", headline, at, also, notes, help)


def _sampled(spec: Draft) -> Iterator[Diagnostic]:
    sets = {task.together or (task.name,) for task in spec.tasks}
    if spec.train and "sampling" in spec.train.model_fields_set and len(sets) <= 1 and not spec.lost:
        why = "all heads learn from the same rows" if len(spec.tasks) > 1 else "there is one head"
        at = At(("train", "sampling"), why)
        yield Diagnostic("W0302", "`sampling` has no effect on one set of rows", at, help="remove `sampling`")


def _metric(spec: Draft, written: str) -> Iterator[Diagnostic]:
    """The error for a `train.metric` that is neither the metric of a head nor the mean."""
    head, _, metric = written.partition(".")
    tasks = {task.name: task for task in spec.tasks}
    at = At(("train", "metric"), "not known")
    if head in tasks and metric and _names(tasks[head]):
        entry = tasks[head].entry.metric
        if entry is not None and entry != metric:
            also = (At(("heads", head, "metric"), "another one"),)
            headline = f"`{head}` has two metrics"
            yield Diagnostic("E0209", headline, At(("train", "metric"), "one of the two"), also, help="keep one")
        return
    known = [
        f"{name}.{task.train.metric or _first(task)}" for name, task in tasks.items() if task.train and _names(task)
    ]
    if written == MEAN and len(tasks) > 1:
        return
    if not known:
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
    if not task.head_type:
        return ("…",)
    head = task.head_variant
    roles: list[dict[str, tuple[str, ...]]] = [{role: (role,)} for role in head.targets] or [{}]
    return tuple(dict.fromkeys(name for columns in roles for name in head.metrics.names(columns)))


def _first(task: Draft) -> str:
    return _names(task)[0]
