"""Finds everything wrong between a spec and the world; changes nothing."""

from __future__ import annotations

from collections.abc import Iterator

from .. import variants
from ..diagnostics import At, Diagnostic, listed, nearest, quote
from ..language.spec import HeldOut, Spec
from ..world.facts import Facts
from .selectors import select
from .split import held_out_count

FEWEST = 4  # training rows from which some may be held out

TRANSFORMERS_OPSET = 18  # the lowest of torch.export's route


def problems(spec: Spec, facts: Facts) -> tuple[Diagnostic, ...]:
    """Every diagnostic of E03xx and W03xx, all at once."""
    return (*facts.found, *_options(spec, facts), *_backbone(spec, facts), *_data(spec, facts), *_warnings(spec, facts))


def _options(spec: Spec, facts: Facts) -> Iterator[Diagnostic]:
    if spec.train.epochs and spec.train.max_steps:
        at = At(("train", "max_steps"), "one of the two")
        yield Diagnostic(
            "E0209",
            "`epochs` and `max_steps` are both given",
            at,
            (At(("train", "epochs"), "the other"),),
            help="keep one",
        )
    metrics = variants.load("metrics", variants.load("heads", spec.head_type).METRICS)
    names = tuple(metrics.names("labels" in (facts.columns or spec.data.columns)))
    if spec.train.metric is not None and spec.train.metric not in names:
        help = nearest(spec.train.metric, names)
        yield Diagnostic(
            "E0321",
            f"{quote(spec.train.metric)} is not a metric of `{spec.head_type}`",
            At(("train", "metric"), "not known"),
            (),
            (f"metrics: {listed(names, 40)}",),
            help,
        )
    if spec.export.samples not in ("generated", "validation"):
        headline = f"golden samples from a file are not available yet: {quote(spec.export.samples)}"
        yield Diagnostic("E0206", headline, At(("export", "samples"), "one of: generated, validation"))
    if len(set(spec.export.precision)) < len(spec.export.precision):
        yield Diagnostic("E0209", "a precision is listed twice", At(("export", "precision")))
    if spec.export.exporter == "transformers" and spec.export.opset and spec.export.opset < TRANSFORMERS_OPSET:
        at = At(("export", "opset"), f"at least {TRANSFORMERS_OPSET} here")
        also = (At(("export", "exporter"), "writes no lower one"),)
        yield Diagnostic(
            "E0209", f"the transformers exporter can't write opset {spec.export.opset}", at, also, help="remove `opset`"
        )
    if spec.train.early_stopping and spec.data.validation is None:
        also = (At(("data",), "no `validation` here", on_key=True),)
        yield Diagnostic(
            "E0209",
            "early stopping needs validation data",
            At(("train", "early_stopping")),
            also,
            help="add `validation: {fraction: 0.1}` under `data`",
        )
    if spec.export.samples == "validation" and spec.data.validation is None:
        yield Diagnostic(
            "E0209",
            "`samples: validation` needs validation data",
            At(("export", "samples")),
            help="add `validation: {fraction: 0.1}` under `data`",
        )


def _backbone(spec: Spec, facts: Facts) -> Iterator[Diagnostic]:
    backbone = facts.backbone
    if backbone is None:
        return
    if spec.modality != backbone.family.MODALITY:
        fitting = [
            word
            for word in variants.words("heads")
            if variants.load("heads", word).MODALITY == backbone.family.MODALITY
        ]
        at = At(("head", "type"), f"takes {spec.modality} inputs")
        also = (At(("backbone", "from"), f"a {backbone.word} backbone takes {backbone.family.MODALITY} inputs"),)
        yield Diagnostic(
            "E0307", f"`{spec.head_type}` can't sit on this backbone", at, also, help=f"heads for it: {listed(fitting)}"
        )
        return
    yield from variants.load("inputs", spec.modality).problems(spec.input, backbone.longest)
    pooling = getattr(spec.head, "pooling", None)
    if pooling and "tokens" not in backbone.family.PROVIDES:
        yield Diagnostic(
            "E0307",
            "this backbone has a pooling of its own",
            At(("head", "pooling"), "has no token states to pool"),
            help="remove `pooling`",
        )
    frozen: frozenset[str] = frozenset()
    bad = False
    for i, selector in enumerate(spec.backbone.freeze):
        chosen = select(selector, backbone, ("backbone", "freeze", i))
        if isinstance(chosen, Diagnostic):
            bad = True
            yield chosen
        else:
            if chosen <= frozen:
                yield Diagnostic(
                    "W0301",
                    f"freezing {quote(selector)} takes nothing away",
                    At(("backbone", "freeze", i), "frozen already"),
                )
            frozen |= chosen
    if not bad:
        yield from variants.load("methods", spec.method).problems(spec.adapt, backbone, frozen)


def _data(spec: Spec, facts: Facts) -> Iterator[Diagnostic]:
    if "train" not in facts.splits:
        return
    head = variants.load("heads", spec.head_type)
    yield from head.problems(spec.head, {name: split.tally for name, split in facts.splits.items()})
    if isinstance(spec.data.validation, HeldOut):
        train, fraction = facts.splits["train"], spec.data.validation.fraction
        if train.rows < FEWEST or not held_out_count(train.tally.strata, fraction):
            notes = (f"they are {train.rows}, and of each label at least one row must stay",)
            at = At(("data", "validation"))
            yield Diagnostic("E0311", "the training rows are too few to hold some out", at, notes=notes)


def _warnings(spec: Spec, facts: Facts) -> Iterator[Diagnostic]:
    method = variants.load("methods", spec.method)
    if method.FREEZES and spec.backbone.freeze:
        yield Diagnostic(
            "W0301",
            f"`{spec.method}` freezes the whole backbone already",
            At(("backbone", "freeze"), "takes nothing away", on_key=True),
            (At(("adapt", "method"), "freezes everything"),),
        )
    if method.FREEZES and spec.train.layer_decay != 1.0:
        yield Diagnostic(
            "W0302",
            f"`layer_decay` has no effect with `{spec.method}`",
            At(("train", "layer_decay"), "no layer learns"),
        )
    rate = spec.train.learning_rate
    if isinstance(rate, float) and not method.USUAL[0] <= rate <= method.USUAL[1]:
        low, high = method.USUAL
        yield Diagnostic(
            "W0303",
            f"learning rate {rate:g} is unusual for `{spec.method}`",
            At(("train", "learning_rate"), f"usually {low:g} to {high:g}"),
        )
    if spec.data.validation is None:
        yield Diagnostic(
            "W0304",
            "there is no validation data: only parity is gated",
            At(("data",), on_key=True),
            help="add `validation: {fraction: 0.1}` under `data`",
        )
