"""Finds everything wrong between a spec, its backbone and its data; changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from .. import methods, variants
from ..contracts.options import Windowed
from ..contracts.targets import LabelCounts
from ..diagnostics import At, Diagnostic, listed, nearest, quote
from ..facts.backbone import BackboneFacts
from ..facts.facts import Facts
from ..facts.task import reads_other
from ..language.feeding import reads_head
from ..language.heads import placed
from ..language.spec import Data, Draft, Export, HeldOut, Train
from ..planning.decisions import written_pooling
from ..planning.sampling import held_out_rows
from ..planning.scoring import undefined, unscored
from ..planning.selectors import select
from .labels import balance, partnerless, unlabelled
from .multi_head import several
from .packing import packing
from .quantization import quantizing
from .repetition import repetition
from .sentence_transformers import sentences
from .starting import starting
from .without_effect import effects, freezes, still

if TYPE_CHECKING:
    from ..contracts.head import Head

FEWEST = 4  # the fewest training rows from which rows can be held out
TRANSFORMERS_OPSET = 18  # the lowest opset of the exporter `transformers`
ADD_VALIDATION = "add `validation: {fraction: 0.1}` under `data`"


def problems(spec: Draft, facts: Facts) -> tuple[Diagnostic, ...]:
    """Every diagnostic of E03xx and W03xx for the sound parts of a spec, all at once."""
    found = [*facts.found, *_validated(spec)]
    views = [(view, seen) for view in spec.each for seen in [_of(view, spec, facts)]]
    for view, seen in views:
        own = [*_together(view), *_backbone(view, seen), *starting(view), *_data(view, seen), *_metric(view, seen)]
        found += placed(own, view.name, view.own, view.entry.metric is not None)
    found += several(spec, facts)
    if not any(reads_other(view, facts.backbone) for view in spec.each):
        found += _parts(spec, facts.backbone)
    if spec.train:
        found += _train(spec.train)
    if spec.export:
        found += [*_export(spec.export), *quantizing(spec, facts)]
    return tuple(dict.fromkeys(found))


def _of(view: Draft, spec: Draft, facts: Facts) -> Facts:
    return dict(zip((task.name for task in spec.each), facts.each, strict=True))[view.name]


def _has_no_validation(spec: Draft) -> bool:
    """Whether the spec certainly has no validation data."""
    return spec.data is not None and spec.data.validation is None and "validation" not in spec.lost


def _together(spec: Draft) -> Iterator[Diagnostic]:
    """The warning for a head without validation data."""
    if _has_no_validation(spec):
        headline = "there is no validation data: only parity is gated"
        yield Diagnostic("W0304", headline, At(("data", "validation"), on_key=True), help=ADD_VALIDATION)


def _validated(spec: Draft) -> Iterator[Diagnostic]:
    """Errors for keys that need validation data, where no head has any."""
    if not all(map(_has_no_validation, spec.each)):
        return
    also = (At(("data", "validation"), "no `validation` here", on_key=True),)
    if spec.train and spec.train.early_stopping:
        at = At(("train", "early_stopping"))
        yield Diagnostic("E0209", "early stopping needs validation data", at, also, help=ADD_VALIDATION)
    if spec.export and spec.export.samples == "validation":
        at = At(("export", "samples"))
        yield Diagnostic("E0209", "`samples: validation` needs validation data", at, also, help=ADD_VALIDATION)


def _train(train: Train) -> Iterator[Diagnostic]:
    if train.epochs is not None and train.max_steps:
        at, also = At(("train", "max_steps"), "one of the two"), (At(("train", "epochs"), "the other"),)
        yield Diagnostic("E0209", "`epochs` and `max_steps` are both given", at, also, help="keep one")


def _metric(spec: Draft, facts: Facts) -> Iterator[Diagnostic]:
    """The error for a metric that the head does not have, or that has no value."""
    train = spec.train
    names = _metrics(spec, facts)
    if train is not None and train.metric is not None and names and train.metric not in names:
        yield Diagnostic(
            "E0321",
            f"{quote(train.metric)} is not a metric of `{spec.head_type}`",
            At(("train", "metric"), "not known"),
            (),
            (f"metrics: {listed(names, 40)}",),
            nearest(train.metric, names),
        )
    elif names:
        yield from undefined(spec, facts, names)


def _metrics(spec: Draft, facts: Facts) -> tuple[str, ...]:
    """Metrics of the head for its columns; where columns are unknown, for all columns that it may read."""
    if spec.head_type is None:
        return ()
    head = spec.head_variant
    if facts.columns:
        return head.metrics.names(facts.columns)
    roles = [{role: (role,)} for role in head.targets]
    # a head with a reader of its own may do without targets
    roles += [{role: (role,) for role in head.reader.roles}] if head.reader else []
    return tuple(dict.fromkeys(name for columns in roles for name in head.metrics.names(columns)))


def _export(export: Export) -> Iterator[Diagnostic]:
    if export.samples not in ("generated", "validation"):
        headline = f"golden samples from a file are not available yet: {quote(export.samples)}"
        yield Diagnostic("E0206", headline, At(("export", "samples"), "one of: generated, validation"))
    first: dict[str, int] = {}
    for i, precision in enumerate(export.precision):
        if first.setdefault(precision, i) != i:
            at, also = At(("export", "precision", i)), (At(("export", "precision", first[precision]), "first here"),)
            yield Diagnostic(
                "E0209", f"a precision is listed twice: `{precision}`", at, also, help="keep one of the two"
            )
    if export.exporter == "transformers" and export.opset and export.opset < TRANSFORMERS_OPSET:
        at = At(("export", "opset"), f"at least {TRANSFORMERS_OPSET} here")
        also = (At(("export", "exporter"), "writes no lower one"),)
        headline = f"the transformers exporter can't write opset {export.opset}"
        yield Diagnostic("E0209", headline, at, also, help="remove `opset`")


def _backbone(spec: Draft, facts: Facts) -> Iterator[Diagnostic]:
    backbone = facts.backbone
    if backbone is None:
        return
    if reads_other(spec, backbone):
        yield _other_inputs(spec, backbone)
        return
    if spec.modality and spec.input is not None:
        yield from spec.input_variant.problems(spec.input, backbone.room(spec.method, spec.adapt))
    yield from _lacking(spec, backbone)
    yield from _windows(spec, facts)
    yield from packing(spec, facts)
    yield from sentences(spec, facts)
    if written_pooling(spec.head) and "tokens" not in backbone.family.provides:
        at = At(("head", "pooling"), "has no token states to pool")
        yield Diagnostic("E0307", "this backbone has a pooling of its own", at, help="remove `pooling`")


def _lacking(spec: Draft, backbone: BackboneFacts) -> Iterator[Diagnostic]:
    """The error for a head or an objective that needs a capability which the backbone lacks."""
    if not spec.head_type or not backbone.lacks(spec.head_variant):
        return
    folder = "heads" if spec.head_type in variants.words("heads") else "objectives"
    fitting = [word for word in variants.words(folder) if _fits(variants.top(word), backbone)]
    at, also = At(("head", "type"), "can't be used here"), (At(("backbone", "from"), f"a `{backbone.word}`"),)
    headline = f"`{spec.head_type}` needs `{spec.head_variant.needs}`, which this backbone does not give"
    yield Diagnostic("E0391", headline, at, also, help=f"{folder} that work here: {listed(fitting, 40)}")


def _fits(head: Head[Any, Any], backbone: BackboneFacts) -> bool:
    """Whether a head or an objective works on the backbone."""
    return backbone.takes(head) and not backbone.lacks(head)


def _windows(spec: Draft, facts: Facts) -> Iterator[Diagnostic]:
    """Findings on windows without room, and on a stride where nothing is read in windows."""
    if spec.head_type is None or spec.input is None or facts.preprocessing is None:
        return
    if spec.head_variant.is_windowed:
        if windows := spec.input_variant.windows:
            yield from windows.crowded(spec.input, facts.preprocessing)
    elif isinstance(spec.input, Windowed) and spec.input.stride is not None:
        at, also = At(("data", "stride")), (At(("head", "type"), "cuts what is too long"),)
        headline = f"`{spec.head_type}` reads no windows, which `stride` is for"
        yield Diagnostic("E0209", headline, at, also, help="remove `stride`")


def _other_inputs(spec: Draft, backbone: BackboneFacts) -> Diagnostic:
    modality = backbone.family.modality
    fitting = [word for word in variants.words("heads") if backbone.takes(variants.head(word))]
    at = At(("head", "type"), f"takes {spec.modality} inputs")
    also = (At(("backbone", "from"), f"a {backbone.word} backbone takes {modality} inputs"),)
    headline, help = f"`{spec.head_type}` can't sit on this backbone", f"heads for it: {listed(fitting)}"
    return Diagnostic("E0307", headline, at, also, help=help)


def _parts(spec: Draft, backbone: BackboneFacts | None) -> Iterator[Diagnostic]:
    """Findings on selectors that freeze nothing or nothing more, and on methods with the tensors that remain."""
    chosen: dict[int, frozenset[str]] = {}
    is_known = spec.backbone is not None and "freeze" not in spec.lost
    for i, selector in enumerate(spec.backbone.freeze if spec.backbone and backbone else ()):
        names = select(selector, backbone, ("backbone", "freeze", i)) if backbone else frozenset()
        if isinstance(names, Diagnostic):
            is_known = False
            yield names
        else:
            chosen[i] = names
    frozen: frozenset[str] = frozenset().union(*chosen.values())
    yield from freezes(spec, chosen)
    yield from effects(spec, backbone, frozen)
    if backbone and spec.method and spec.adapt is not None:
        is_whole = is_known and not spec.lost & set(spec.method_variant.options.model_fields)
        for found in methods.problems(spec.method, spec.adapt, backbone, frozen):
            # a contradiction with another section may follow from values that could not be read
            if is_whole or (isinstance(found.at, At) and found.at.path[0] == "adapt"):
                yield found


def _data(spec: Draft, facts: Facts) -> Iterator[Diagnostic]:
    """Errors in the data, or, where there are none, warnings."""
    if "train" not in facts.splits or spec.head_type is None or spec.data is None:
        return
    if reads_head(spec.head_type):  # all other findings on these rows are the head's
        yield from partnerless(spec, facts)
        return
    found = tuple(unlabelled(spec, facts)) or tuple(_unusable(spec, spec.data, facts))
    yield from found or (*repetition(facts), *balance(spec, facts), *unscored(spec, facts), *_doubts(spec, facts))


def _unusable(spec: Draft, data: Data, facts: Facts) -> Iterator[Diagnostic]:
    if spec.head is not None:
        tallies = {name: split.tally for name, split in facts.splits.items()}
        found = tuple(d for d in spec.head_variant.problems(spec.head, tallies) if not _is_of_lost(d, spec))
        yield from found or still(spec, facts)
    if isinstance(data.validation, HeldOut):
        train = facts.splits["train"]
        if train.rows < FEWEST or not held_out_rows(spec, facts):
            labels = len(train.tally.strata) if isinstance(train.tally, LabelCounts) and train.tally.counts else 1
            of = f" of {labels} labels" if labels > 1 else ""
            notes = (f"they are {train.rows}{of}, and of each label at least one row must stay",)
            at = At(("data", "validation"))
            yield Diagnostic("E0311", "the training rows are too few to hold some out", at, notes=notes)


def _is_of_lost(found: Diagnostic, spec: Draft) -> bool:
    """Whether a finding is about a key of the head that could not be read, or about the head where one could not."""
    path = found.at.path if isinstance(found.at, At) else ()
    lost = spec.lost & set(spec.head_variant.options.model_fields)
    return path[:1] == ("head",) and (path[1] in lost or (path[1] == "type" and bool(lost)))


def _doubts(spec: Draft, facts: Facts) -> Iterator[Diagnostic]:
    input = spec.input_variant
    is_known = not spec.lost & set(input.options.model_fields)
    if facts.backbone and facts.preprocessing and facts.measured and is_known:
        yield from input.doubts(facts.preprocessing, facts.measured, facts.backbone.longest)
