"""Rotations of a layer's input, in blocks (Qiu et al. 2023, arXiv:2306.07280), by PEFT."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import Field

from ..facts.backbone import BackboneFacts
from ..facts.header import Tensor
from . import _layers
from ._layers import Targeted

if TYPE_CHECKING:
    import torch


class Options(Targeted):
    """Keys under `adapt` with method oft."""

    block: int = Field(
        32, ge=2, le=4096, description="size of a block; the nearest that divides a layer's inputs is taken"
    )


def _added(name: str, options: Options, backbone: BackboneFacts) -> Iterable[Tensor]:
    """The parameters of a rotation for each block."""
    _, into = _layers.sides(backbone.modules()[name].shape, name, backbone)
    block = min((n for n in range(1, into + 1) if into % n == 0), key=lambda n: abs(n - options.block))
    yield Tensor(name=f"{name}.oft_R.weight", shape=(into // block, block * (block - 1) // 2), dtype="F32")


def apply(module: torch.nn.Module, record: Mapping[str, Any]) -> torch.nn.Module:
    """Wraps a backbone in PEFT's OFT layers at exactly the plan's modules."""
    from peft import OFTConfig

    return _layers.adapted(
        module, OFTConfig, r=0, oft_block_size=record["block"], target_modules=list(record["target"])
    )


METHOD = _layers.method(
    "oft",
    options=Options,
    usual=(1e-5, 1e-2),
    needs=frozenset({"plain-weights"}),
    added=_added,
    apply=apply,
)
