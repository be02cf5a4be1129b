"""Only the topmost layers learn, those nearest to the head (Lee et al. 2019, arXiv:1911.03090)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from ..contracts.method import Method
from ..diagnostics import At, Diagnostic
from ..facts.backbone import BackboneFacts
from ..frozen import Frozen
from . import Lowered


class Options(Frozen):
    """Keys under `adapt` with method top-layers."""

    layers: int = Field(1, ge=1, description="how many layers learn, from the top")


def problems(options: Options, backbone: BackboneFacts, frozen: frozenset[str]) -> Iterable[Diagnostic]:
    """More layers than there are."""
    depth = backbone.depth("layers") or 0
    if options.layers > depth:
        at, help = At(("adapt", "layers"), f"there are {depth}"), f"`layers: {depth}`, or `method: full`"
        yield Diagnostic("E0308", f"this backbone has no {options.layers} layers", at, help=help)


def lower(options: Options, backbone: BackboneFacts, frozen: frozenset[str]) -> Lowered:
    """Trains the tensors of the topmost layers outside the frozen parts."""
    first = (backbone.depth("layers") or 0) - options.layers
    found = ((name, re.match(backbone.family.parts["layers"], name)) for name in backbone.names)
    return Lowered(frozenset(name for name, hit in found if hit and int(hit.group(1)) >= first) - frozen)


def apply(module: Any, record: Mapping[str, Any]) -> Any:
    """The backbone as it is."""
    return module


def plain(name: str) -> str:
    """The plan's name of a tensor of the adapted module."""
    return name


def merge(module: Any) -> Any:
    """The backbone as it is."""
    return module


def save(module: Any, folder: Path) -> None:
    """Writes what loads with AutoModel."""
    module.save_pretrained(folder)


METHOD = Method(
    options=Options,
    learning_rate=1e-4,
    head_learning_rate=1e-3,
    usual=(1e-6, 1e-3),
    problems=problems,
    lower=lower,
    apply=apply,
    plain=plain,
    merge=merge,
    save=save,
)
