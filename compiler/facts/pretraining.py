"""Gathers the facts of the stages of `pretrain` and of the text of `retain`, each as a spec of its own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path

from .. import variants
from ..boundary import OPEN, Boundary
from ..diagnostics import Status
from ..language.feeding import reads_head
from ..language.spec import Data, Draft, Export, Train
from .backbone import BackboneFacts
from .facts import Facts, Gathering
from .recorded import Known
from .task import look_at


def gather_stages(
    spec: Draft, folder: Path, facts: Facts, known: Known | None = None, boundary: Boundary = OPEN
) -> Facts:
    """The facts of a spec with those of its stages; `known` is the lock's record of the data."""
    whole = known.pretrain if known else ()
    stages = [
        _of_head(stage, spec, facts)
        if reads_head(stage.head_type)
        else look_at(Gathering(stage, folder, one, boundary=boundary), facts.backbone)
        for stage, one in zip_longest(spec.pretrain, whole[: len(spec.pretrain)])
    ]
    text = retained(spec, facts.backbone)
    said = known.retain if known else None
    retain = look_at(Gathering(text, folder, said, boundary=boundary), facts.backbone) if text else None
    status = _worst([facts.status, *(stage.status for stage in stages), *([retain.status] if retain else [])])
    return replace(facts, pretrain=tuple(stages), retain=retain, status=status)


def _of_head(stage: Draft, spec: Draft, facts: Facts) -> Facts:
    """The training rows of the head that a stage reads, without diagnostics, which the head has reported."""
    by_name = dict(zip((task.name for task in spec.each), facts.each, strict=True))
    seen = by_name.get(stage.name) if stage.data else None
    if seen is None:
        return Facts(facts.backbone, {}, {}, None, {})
    train = {name: split for name, split in seen.splits.items() if name == "train"}
    return replace(seen, splits=train, found=(), pretrain=(), retain=None, tasks=())


def _worst(found: Iterable[Status]) -> Status:
    return next((status for status in found if status != Status.FINE), Status.FINE)


def retained(spec: Draft, backbone: BackboneFacts | None) -> Draft | None:
    """The text of `retain` as a spec: method `probe`, and the backbone's own pretrained objective as head.

    None where there is no such text, or where the backbone has no language-model head.
    """
    model = backbone.language_model if backbone else None
    if spec.retain is None or backbone is None or model is None or not model.is_there:
        return None
    word = next(w for w in variants.words("objectives") if model.kind == variants.objective(w).needs)
    objective = variants.objective(word)
    input = variants.input(objective.modality)
    # read beside the virtual tokens of the spec's own method, in as many positions before training as after
    longest = backbone.room(spec.method, spec.adapt)
    room = {key: found.value for key, found in input.decided(input.options(), {}, longest, None).items()}
    data = Data(train=spec.retain.data, columns=spec.retain.columns, bad_rows=spec.retain.bad_rows)
    return Draft(
        top=spec.top,
        backbone=spec.backbone,
        method="probe",
        adapt=variants.method("probe").options(),
        head_type=word,
        head=objective.options(),
        data=data,
        train=Train(),
        export=Export(),
        input=input.options(**room),
    )
