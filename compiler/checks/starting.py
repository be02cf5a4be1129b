"""Checks of `head.start` and of trainings without steps."""

from __future__ import annotations

from collections.abc import Iterator

from .. import variants
from ..contracts.options import Layered, Startable
from ..diagnostics import At, Diagnostic, listed
from ..language.spec import Draft
from ..planning.decisions import is_still

UNIQUE = "with hidden layers there is no single best head to fit"
LINEAR = "only a head of one linear layer has a single best fit"


def starting(spec: Draft) -> Iterator[Diagnostic]:
    """Findings on `head.start` and `epochs: 0`."""
    if spec.head_type is None or spec.method is None:
        return
    if isinstance(spec.head, Startable) and spec.head.start == "fitted":
        yield from _unfit(spec, spec.method)
    if spec.train and spec.train.epochs == 0 and not is_still(spec.head_type):
        yield from _idle(spec, spec.method)


def _unfit(spec: Draft, word: str) -> Iterator[Diagnostic]:
    """Errors for `start: fitted` where no fit exists: the head has other layers, or the method changes features."""
    at = At(("head", "start"), "can't be fitted")
    if not spec.head_variant.convex:
        headline = f"a `{spec.head_type}` head can't start fitted"
        yield Diagnostic("E0460", headline, at, notes=(LINEAR,), help="write `start: random`")
    elif _has_layers(spec):
        also, notes = (At(("head", "hidden"), "layers before the last"),), (UNIQUE,)
        help = "remove `hidden`, or write `start: random`"
        yield Diagnostic("E0460", "a head with hidden layers can't start fitted", at, also, notes, help)
    if not _is_untouched(word):
        also = (At(("adapt", "method"), "changes the features before the first step"),)
        works = [each for each in variants.words("methods") if _is_untouched(each)]
        headline = f"`{word}` leaves no features of the untouched backbone to fit a head to"
        help = f"write `start: random`, or adapt by one of: {listed(works, 40)}"
        yield Diagnostic("E0461", headline, at, also, help=help)


def _has_layers(spec: Draft) -> bool:
    """Whether a head has hidden layers."""
    return isinstance(spec.head, Layered) and bool(spec.head.hidden)


def _is_untouched(word: str) -> bool:
    return variants.method(word).starts_untouched


def _idle(spec: Draft, word: str) -> Iterator[Diagnostic]:
    """Errors for zero steps where a fit alone does not train everything that should learn."""
    at, also = At(("train", "epochs"), "no step is made"), (At(("adapt", "method"), "would never learn"),)
    if not variants.method(word).freezes:
        help = "write `method: probe`, or `epochs: 1` or more"
        yield Diagnostic("E0462", f"without a step `{word}` learns nothing", at, also, help=help)
    elif not spec.head_variant.convex or _has_layers(spec):
        headline = f"without a step this `{spec.head_type}` head learns nothing"
        yield Diagnostic("E0462", headline, at, help="write `epochs: 1` or more: this head can't start fitted")
    elif isinstance(spec.head, Startable) and spec.head.start == "random":
        also = (At(("head", "start"), "stays as it was drawn"),)
        yield Diagnostic("E0462", "without a step a random head learns nothing", at, also, help="write `start: fitted`")
