"""Warnings for settings without effect, and for unusual learning rates."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from .. import variants
from ..diagnostics import At, Diagnostic, Path, quote
from ..facts.backbone import BackboneFacts
from ..facts.facts import Facts
from ..language.spec import Draft, Export, Folding, Rates, Train
from ..planning.decisions import head_record, is_still, passes
from ..planning.selectors import selected
from ..renderers import counted

HEAD_MOST = 0.1  # the highest usual learning rate of a head, with any method
Chosen = Mapping[int, frozenset[str]]  # number of a selector → names of its tensors


def freezes(spec: Draft, chosen: Chosen) -> Iterator[Diagnostic]:
    """Warnings for selectors whose tensors the method or another selector freezes already."""
    written = spec.backbone.freeze if spec.backbone else ()
    if written and spec.method and spec.method_variant.freezes:
        at = At(("backbone", "freeze"), "freezes nothing more", on_key=True)
        also = (At(("adapt", "method"), "freezes everything"),)
        yield Diagnostic(
            "W0301", f"`{spec.method}` freezes the whole backbone already", at, also, help="remove `freeze`"
        )
        return
    for i, names in chosen.items():
        before: frozenset[str] = frozenset().union(*(other for j, other in chosen.items() if j < i))
        wider = next((j for j, other in chosen.items() if names < other or (names == other and j < i)), None)
        if names <= before or wider is not None:
            others = () if wider is None else (At(("backbone", "freeze", wider), "freezes it too"),)
            at = At(("backbone", "freeze", i), "freezes nothing more")
            headline = f"{quote(written[i])} freezes nothing more"
            yield Diagnostic("W0301", headline, at, others, help=f"remove {quote(written[i])}")


def effects(spec: Draft, backbone: BackboneFacts | None, frozen: frozenset[str]) -> Iterator[Diagnostic]:
    """Warnings for settings without effect; `frozen` are the names of tensors that selectors freeze."""
    if spec.train and spec.method:
        is_still = spec.method_variant.freezes
        if is_still or (backbone and frozen >= frozenset(backbone.names)):
            cause = (
                At(("adapt", "method"), "freezes everything")
                if is_still
                else At(("backbone", "freeze"), "is all of it")
            )
            yield from _of_a_still_backbone(spec.train, cause)
            if spec.backbone and spec.backbone.dropout is not None:
                why = "nothing in the backbone learns, so nothing is dropped"
                yield _useless(("backbone", "dropout"), "`dropout` of the backbone has no effect", why)
        elif spec.train.fold == "off" and not frozen:
            headline, why = (
                "`fold: off` has no effect",
                "nothing in the backbone is frozen, so no features would be cached",
            )
            yield _useless(("train", "fold"), headline, why)
        if isinstance(spec.train.fold, Folding) and spec.train.fold.views > 1 and spec.input and not spec.augmentation:
            why = "without `data.augment` every view of a row is the row"
            yield _useless(("train", "fold", "views"), "`views` has no effect", why)
        yield from _rates(spec.train, spec.method)
        yield from _held_back(spec, backbone, frozen, is_still)
    is_validated = spec.data is None or spec.data.validation is not None or "validation" in spec.lost
    if spec.train and is_validated:
        yield from _patience(spec.train)
    if spec.export and not is_validated:
        yield from _unmeasured(spec.export)


def still(spec: Draft, facts: Facts) -> Iterator[Diagnostic]:
    """The error for a head without parameters on a backbone in which nothing learns."""
    backbone = facts.backbone
    if backbone is None or spec.method is None or spec.backbone is None or "freeze" in spec.lost:
        return
    if is_still(str(spec.head_type)):
        # other heads of the spec may learn
        yield from () if spec.name else nothing(spec, At(("head", "type"), "has nothing to learn from"))
        return
    method, head = spec.method_variant, spec.head_variant
    if backbone.lacks(head):  # reported by `_lacking`
        return
    if head.settle and facts.preprocessing is None:  # the record is unknown where inputs can't be read
        return
    is_whole = selected(spec.backbone.freeze, backbone) >= frozenset(backbone.names)
    is_idle = method.freezes or (not method.adds and is_whole)
    if is_idle and not head.parameters(head_record(str(spec.head_type), spec.head, facts), backbone.width):
        at = At(("adapt", "method"), "learns nothing here") if method.freezes else At(("backbone", "freeze"), "is all")
        help = "choose another method, such as `lora`, or give the head a layer of its own"
        notes = ("the backbone is frozen, and this head has no parameters",)
        yield Diagnostic("E0371", "there is nothing to learn", at, (), notes, help)


def nothing(spec: Draft, head: At) -> Iterator[Diagnostic]:
    """Findings for `adapt` or `train` where no head learns; `head` is the place of one such head."""
    also, word = (head,), spec.head_type or next(task.head_type for task in spec.tasks)
    if spec.method_variant.adds:
        at, help = At(("adapt", "method"), "would never learn"), "remove `adapt`, or move it to a stage of `pretrain`"
        yield Diagnostic("E0395", f"`{spec.method}` has nothing to learn on `{word}`", at, also, help=help)
    elif spec.train and spec.train.model_fields_set:
        at = At(("train",), "changes nothing", on_key=True)
        yield Diagnostic("W0391", "nothing is trained here", at, also, help="remove `train`")


def _useless(path: Path, headline: str, why: str, *also: At) -> Diagnostic:
    return Diagnostic("W0302", headline, At(path, why), also, help=f"remove `{path[-1]}`")


def _of_a_still_backbone(train: Train, cause: At) -> Iterator[Diagnostic]:
    if train.layer_decay != 1.0:
        yield _useless(
            ("train", "layer_decay"), "`layer_decay` has no effect on a frozen backbone", "no layer learns", cause
        )
    if isinstance(train.learning_rate, Rates):
        path, rate = ("train", "learning_rate", "backbone"), train.learning_rate.head
        at = At(path, "nothing learns there")
        headline, help = "a learning rate for a frozen backbone has no effect", f"write `learning_rate: {rate:g}`"
        yield Diagnostic("W0302", headline, at, (cause,), help=help)


def _patience(train: Train) -> Iterator[Diagnostic]:
    """The warning for a patience that training ends before: the first epoch can be best, then as many must pass."""
    epochs = passes(train)
    if train.early_stopping and not train.max_steps and train.early_stopping.patience >= epochs - 1:
        also = (At(("train", "epochs"), "the last of them comes first"),) if train.epochs else ()
        path = ("train", "early_stopping", "patience")
        headline = f"`patience: {train.early_stopping.patience}` never stops a training of {epochs} epochs"
        help = (
            f"write `patience: {epochs - 2}` or less, or remove `early_stopping`"
            if epochs > 2
            else "remove `early_stopping`"
        )
        yield Diagnostic("W0302", headline, At(path, "has no effect"), also, help=help)


def _unmeasured(export: Export) -> Iterator[Diagnostic]:
    if "metric_drop" in export.gate.model_fields_set:
        also = At(("data",), "no `validation` here", on_key=True)
        path = ("export", "gate", "metric_drop")
        yield _useless(path, "`metric_drop` has no effect without validation data", "nothing to measure it on", also)


def _held_back(
    spec: Draft, backbone: BackboneFacts | None, frozen: frozenset[str], is_still: bool
) -> Iterator[Diagnostic]:
    """Warnings for L2-SP on weights that don't learn, and for layers that would join after the last epoch."""
    train = spec.train
    assert train is not None
    if train.l2_sp and (is_still or spec.method_variant.adds):
        cause = At(("adapt", "method"), "leaves them as they are")
        yield _useless(("train", "l2_sp"), "`l2_sp` has no effect", "no pretrained weight learns", cause)
    if not train.gradual_unfreezing:
        return
    if is_still:
        yield _useless(("train", "gradual_unfreezing"), "`gradual_unfreezing` has no effect", "no layer learns")
    elif backbone and not train.max_steps and (depth := _lowest(backbone, frozen)):
        epochs = passes(train)
        joined = (epochs - 1) // train.gradual_unfreezing
        if joined < depth:
            at = At(
                ("train", "gradual_unfreezing"),
                f"{joined} of {depth} layers join in {counted(epochs, 'epoch')}",
            )
            needed = depth * train.gradual_unfreezing + 1
            help = f"write `epochs: {needed}` or more, or freeze the layers that shall not learn"
            yield Diagnostic("W0351", "layers join after the last epoch, so they never learn", at, help=help)


def _lowest(backbone: BackboneFacts, frozen: frozenset[str]) -> int:
    """The place of the lowest layer that is not frozen, counted from 1 at the top; 0 for none."""
    found = [0]
    for word, pattern in backbone.family.parts.items():
        if depth := backbone.depth(word):
            hits = (re.match(pattern, name) for name in backbone.names if name not in frozen)
            found += [depth - int(hit.group(1)) for hit in hits if hit]
    return max(found)


def _rates(train: Train, word: str) -> Iterator[Diagnostic]:
    """Warnings for learning rates outside of the method's usual range, part by part."""
    method, rate = variants.method(word), train.learning_rate
    low, high = method.usual
    usual, head = method.learning_rate, method.head_learning_rate
    at: Path = ("train", "learning_rate")
    if isinstance(rate, Rates):
        if not method.freezes:
            yield from _rate(rate.backbone, (low, high), usual, (*at, "backbone"), f"`{word}`")
        yield from _rate(rate.head, (low, max(high, HEAD_MOST)), head, (*at, "head"), "a head")
    elif rate is not None:
        yield from _rate(rate, (low, high), usual, at, f"`{word}`")


def _rate(rate: float, usual: tuple[float, float], default: float, path: Path, whose: str) -> Iterator[Diagnostic]:
    low, high = usual
    if not low <= rate <= high:
        at, help = At(path, f"usually {low:g} to {high:g}"), f"write `{path[-1]}: {default:g}`, the default"
        yield Diagnostic("W0303", f"learning rate {rate:g} is unusual for {whose}", at, help=help)
