"""Gathers the facts of one head's data: its rows, and the preprocessing of its inputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..diagnostics import Refused
from ..language.spec import Draft
from .backbone import BackboneFacts
from .facts import Facts, Gathering
from .paths import absolute
from .sentence_transformers import usual_length
from .templates import own_template


def look_at(gathering: Gathering, backbone: BackboneFacts | None) -> Facts:
    """The facts of one head."""
    spec, known = gathering.spec, gathering.known
    gathering.found += absolute(spec, gathering.folder, gathering.boundary)
    if spec.data is None or spec.modality is None or "columns" in spec.lost or reads_other(spec, backbone):
        # the head or the roles are wrong, which `problems` reports; rows can't be judged by them
        gathering.look()
        return Facts(backbone, {}, {}, None, {}, tuple(gathering.found), gathering.status)
    splits = gathering.splits()
    preprocessing: dict[str, Any] | None = None
    measured: Mapping[str, float] = {}
    usual = usual_length(backbone.sentences if backbone else None, gathering.heads or (str(spec.head_type),))
    # what a head can't stand on is not judged by what it would read there; `problems` says what the backbone lacks
    is_able = backbone is not None and not (spec.head_type and backbone.lacks(spec.head_variant))
    if backbone and is_able and spec.input is not None:
        input, source = gathering.input, backbone.located.folder
        room = backbone.room(spec.method, spec.adapt)
        try:
            columns = gathering.columns or {}
            preprocessing = dict(input.preprocessing(source, backbone.config, spec.input, room, columns, usual))
            if input.template:
                own = own_template(spec, gathering.folder, gathering.boundary)
                preprocessing |= input.template(source, own, columns)
            gathering.found += input.misfits(preprocessing, source, backbone)
            preprocessing = with_more(preprocessing, gathering.head.reads(spec.head, spec.input, columns))
            preprocessing |= input.settle(source, preprocessing)
            # a family without the language model has no mask token; `problems` reports it
            if preprocessing.get("is_masked") and input.vocabulary and gathering.head.needs in backbone.provides:
                preprocessing |= input.vocabulary.masking(source)
            if preprocessing.get("is_packed") and input.vocabulary:
                preprocessing |= input.vocabulary.special(source)
            if gathering.head.is_windowed and input.windows:
                preprocessing |= input.windows.add(spec.input, preprocessing)
            if known:
                measured = dict(known.measured)
            elif "train" in splits:
                measured = input.measure(splits["train"].sample, preprocessing, source)
        except Refused as refused:
            gathering.note(refused)
    return Facts(
        backbone,
        gathering.columns or {},
        splits,
        preprocessing,
        measured,
        tuple(gathering.found),
        gathering.status,
        usual=usual,
    )


def reads_other(spec: Draft, backbone: BackboneFacts | None) -> bool:
    """Whether head and backbone take inputs of different kinds."""
    return bool(backbone and spec.head_type and not backbone.takes(spec.head_variant))


def with_more(record: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """A record of preprocessing with a head's additions; those to one of several readings go into that reading.

    >>> with_more({"readings": {"text": {"a": 1}}}, {"readings": {"text": {"b": 2}, "image": {"c": 3}}})
    {'readings': {'text': {'a': 1, 'b': 2}, 'image': {'c': 3}}}
    """
    if "readings" not in record:
        return {**record, **more}
    added = more.get("readings", {})
    names = dict.fromkeys([*record["readings"], *added])
    readings = {name: {**record["readings"].get(name, {}), **added.get(name, {})} for name in names}
    return {**record, **more, "readings": readings}
