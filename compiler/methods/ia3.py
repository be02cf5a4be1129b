"""Learned vectors that rescale keys, values and the feed-forward part (Liu et al. 2022, arXiv:2205.05638), by PEFT."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ..contracts.method import Method
from ..decision import Decided
from ..diagnostics import Diagnostic
from ..facts.backbone import BackboneFacts
from ..facts.header import Tensor
from . import Lowered, _layers
from ._layers import Targeted

if TYPE_CHECKING:
    import torch


RESCALES = "mlp-output"  # the kind of modules whose input is rescaled; of other kinds the output is


class Options(Targeted):
    """Keys under `adapt` with method ia3."""


def _default(backbone: BackboneFacts) -> tuple[str, ...]:
    kinds = backbone.family.kinds
    projections = ("key", "value") if "key" in kinds and "value" in kinds else ("qkv",)
    paper = (*projections, RESCALES)
    return paper if all(kind in kinds for kind in paper) else tuple(backbone.family.target)


def problems(options: Options, backbone: BackboneFacts, frozen: frozenset[str]) -> Iterable[Diagnostic]:
    """Errors for targets that match no module, or only frozen ones."""
    return _layers.problems("ia3", options, backbone, frozen, _default(backbone))


def decided(options: Options, backbone: BackboneFacts) -> dict[str, Decided[Any]]:
    """The modules to adapt, where the options leave them open."""
    return _layers.decided(options, backbone, _default(backbone))


def lower(options: Options, backbone: BackboneFacts, frozen: frozenset[str]) -> Lowered:
    """Adds one vector at each target that is not frozen; the backbone's own tensors stay."""
    targets = _layers.targets(options, backbone, frozen, _default(backbone))
    rescaled = tuple(name for name in targets if _layers.is_kind(name, RESCALES, backbone))
    added = []
    for name in targets:
        out, into, *kernel = _layers.sides(backbone.modules()[name].shape, name, backbone)
        shape: tuple[int, ...] = (1, into) if name in rescaled else (out, 1)
        if kernel:  # PEFT's vector for a convolution has the shape of its channels
            shape = (1, into if name in rescaled else out, 1, 1)
        added.append(Tensor(name=f"{name}.ia3_l", shape=shape, dtype="F32"))
    return Lowered(frozenset(), tuple(added), {"target": targets, "feedforward": rescaled})


def apply(module: torch.nn.Module, record: Mapping[str, Any]) -> torch.nn.Module:
    """Wraps a backbone in PEFT's IA3 layers at exactly the plan's modules."""
    from peft import IA3Config

    return _layers.adapted(
        module, IA3Config, target_modules=list(record["target"]), feedforward_modules=list(record["feedforward"])
    )


METHOD = Method(
    options=Options,
    learning_rate=8e-3,
    head_learning_rate=2e-3,
    usual=(1e-4, 1e-1),
    merges=True,
    starts_untouched=True,
    problems=problems,
    decided=decided,
    lower=lower,
    apply=apply,
    plain=_layers.plain,
    merge=_layers.merge,
    save=_layers.save,
    reload=_layers.reload,
)
