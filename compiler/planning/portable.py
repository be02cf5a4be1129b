"""Makes a plan portable: without paths of the machine that it was made on."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..frozen import Json
from ..language.places import PATHS
from .plan import DataPlan, Phase, Plan

ABSOLUTE = re.compile(r"(?P<word>[a-z]+:)?/.*")  # a path, or a source's word and a path


def portable(plan: Plan) -> Plan:
    """The plan with base names in place of absolute paths."""
    changes: dict[str, Any] = {
        **_phase(plan),
        "pretrain": tuple(phase.model_copy(update=_phase(phase)) for phase in plan.pretrain),
        "retain": plan.retain.model_copy(update=_phase(plan.retain)) if plan.retain else None,
        "spec": Json(_relocated((), plan.spec.plain())),
    }
    # a copy made by model_copy would keep the cached hash
    return Plan(**{name: changes.get(name, getattr(plan, name)) for name in Plan.model_fields})


def _phase(phase: Phase) -> dict[str, Any]:
    return {
        "backbone": phase.backbone.model_copy(update={"source": base(phase.backbone.source)}),
        "tasks": tuple(task.model_copy(update={"data": _data(task.data)}) for task in phase.tasks),
    }


def _data(data: DataPlan) -> DataPlan:
    splits = tuple(
        split.model_copy(update={"tables": tuple(t.model_copy(update={"path": base(t.path)}) for t in split.tables)})
        for split in data.splits
    )
    return data.model_copy(update={"splits": splits})


def base(path: str) -> str:
    """The base name of an absolute path, with the word of its source; any other path unchanged.

    >>> base("/data/train.jsonl"), base("bundle:/srv/one/"), base("../data"), base("hub:org/name@main")
    ('train.jsonl', 'bundle:one', '../data', 'hub:org/name@main')
    """
    found = ABSOLUTE.fullmatch(path)
    return (found["word"] or "") + path.rstrip("/").rpartition("/")[2] if found else path


def _relocated(place: tuple[str, ...], value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _relocated((*place, key), item) for key, item in value.items()}
    if isinstance(value, list):
        return [_relocated((*place, "*"), item) for item in value]
    return base(value) if isinstance(value, str) and (place in PATHS or place == ("extends",)) else value
